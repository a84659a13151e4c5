import { runService } from '@plinth/service-kit';
import { queueService } from './service.ts';

await runService(queueService);
