import { enableCompileCache } from 'node:module';

enableCompileCache();
const { runService } = await import('@plinth/service-kit');
const { kvService } = await import('./service.ts');
await runService(kvService);
