import { runService } from '@plinth/service-kit';
import { ratelimitService } from './service.ts';

await runService(ratelimitService);
