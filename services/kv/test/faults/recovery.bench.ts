/** How long the service takes to start: on an empty folder, on a million keys, and after SIGKILL with 100 MB of log. */
import { tempDir } from '@plinth/testkit';
import type { HttpClient } from './http-client.ts';
import { KvProcess } from './kv-process.ts';

const RUNS = 3;
const MANY_KEYS = 1_000_000;
const LOG_BYTES = 100 * 1_048_576;
const PER_REQUEST = 1_000;
/** No checkpoint before the kill. */
const LAZY = { KV_CHECKPOINT_BYTES: '1GiB', KV_CHECKPOINT_INTERVAL_MS: '600s', KV_PENDING_BYTES_MAX: '2GiB' };

async function put(http: HttpClient, from: number, count: number, value: string): Promise<void> {
  const operations = Array.from({ length: count }, (_, at) => ({ op: 'put', key: `key-${from + at}`, value }));
  // biome-ignore lint/suspicious/noThenProperty: the API's word.
  const { status, body } = await http.sendJson('POST', '/v1/kv/b:txn', { then: operations });
  if (status !== 200) throw new Error(`putting answered ${status} ${body}`);
}

async function startTimes(dataDir: string, env: Record<string, string> = {}): Promise<string> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const kv = await KvProcess.start({ dataDir, env });
    times.push(Math.round(kv.startedInMs));
    await kv.kill();
  }
  return `${times.sort((a, b) => a - b).join(', ')} ms`;
}

const say = (what: string, figure: string) => process.stdout.write(`${what.padEnd(52)}${figure}\n`);

const empty = tempDir('kv-empty');
say('empty folder, first start', `${Math.round((await first(empty)).startedInMs)} ms`);
say('empty folder', await startTimes(empty));

async function first(dataDir: string): Promise<KvProcess> {
  const kv = await KvProcess.start({ dataDir });
  await kv.stop();
  return kv;
}

for (const [valueBytes, label] of [
  [100, '100 MB of log, values of 100 bytes'],
  [4_000, '100 MB of log, values of 4,000 bytes'],
] as const) {
  const dataDir = tempDir('kv-log');
  const kv = await KvProcess.start({ dataDir, env: LAZY });
  const count = Math.min(PER_REQUEST, Math.floor(1_000_000 / valueBytes));
  const keys = Math.floor(LOG_BYTES / (valueBytes + 60));
  for (let from = 0; from < keys; from += count) await put(kv.http, from, count, '.'.repeat(valueBytes));
  await kv.kill();
  say(`${label}, after SIGKILL`, await startTimes(dataDir, LAZY));
}

const many = tempDir('kv-many');
const kv = await KvProcess.start({ dataDir: many });
for (let from = 0; from < MANY_KEYS; from += PER_REQUEST)
  await put(kv.http, from, PER_REQUEST, 'a value of some bytes');
await kv.stop();
say('1,000,000 keys, stopped in order', await startTimes(many));
