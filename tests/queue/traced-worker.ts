/** A worker process as any team could have it, under tracing: each job fails once, then is done. Argument: the URL. */
import { argv, env } from 'node:process';
import { startTelemetry } from '@plinth/telemetry';
import { Worker } from '@plinth/worker';

const telemetry = await startTelemetry({ service: 'mailer', version: '1.0.0', env });
const worker = new Worker({
  url: argv[2]!,
  queue: 'mails',
  handler: ({ attempt, data }) => {
    if (attempt === 1) throw new RangeError('the mail server is away');
    return { sent: data };
  },
});
process.once('SIGTERM', async () => {
  await worker.stop();
  await telemetry.stop();
  process.exit(0);
});
console.log('working');
