/**
 * A worker to be killed, frozen and stopped, built on the SDK as its users do:
 *
 *     node worker-main.ts <settings as JSON>
 *
 * Jobs tell in their data what to do: `{ number, tookMs }`; one named `poison` kills the
 * process that runs it, at its end. It says
 * `ready`, and tells of leases it lost. SIGTERM stops it gracefully.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from '@plinth/worker';
import { LedgerWriter } from './ledger.ts';

/** What a worker is told. */
export interface WorkerSettings {
  url: string;
  queue: string;
  ledgerDir: string;
  concurrency: number;
  leaseMs: number;
}

/** What is in a job. */
export interface WorkData {
  number: number;
  tookMs: number;
}

const { ledgerDir, ...settings } = JSON.parse(process.argv[2]!) as WorkerSettings;
const ledger = new LedgerWriter(ledgerDir);

const worker = new Worker<WorkData>({
  ...settings,
  async handler({ name, data, attempt, token }) {
    const startedMs = Date.now();
    if (data.tookMs > 0) await sleep(data.tookMs);
    if (name === 'poison') process.kill(process.pid, 'SIGKILL');
    ledger.write({ number: data.number, attempt, token, startedMs, pid: process.pid });
  },
  onEvent(event) {
    if (['lost', 'undelivered', 'failed'].includes(event.type)) console.log(JSON.stringify(event));
  },
});
process.once('SIGTERM', async () => {
  await worker.stop();
  ledger.close();
  process.exit(0);
});
console.log('ready');
