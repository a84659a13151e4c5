import { runService } from '@plinth/service-kit';
import { kvService } from './service.ts';

await runService(kvService);
