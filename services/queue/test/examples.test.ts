/** The workers of `examples`, each run against the real service: what they promise is what they do. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Client, createClient, type Queue } from '@plinth/client';
import { eventually, freePort, runProcess, tempDir, withRedis } from '@plinth/testkit';

const EXAMPLES = fileURLToPath(new URL('../examples/', import.meta.url));
const MAIN = new URL('../src/main.ts', import.meta.url);
const LEASE_MS = 4_000;

/** What `worker.sh` runs for each job; the other two have the same work inside. */
const COMMAND = `read -r answer
case "$answer" in *'"fail":'*) echo "no such address" >&2; exit 3;; esac
case "$answer" in *'"seconds":60'*) exec sleep 60;; *'"seconds":9'*) sleep 9;; esac
printf 'hello "ann"\\n\\tand all'`;

interface Example {
  language: string;
  command(): string[];
  /** Of `{ name: 'ann' }`. */
  result: unknown;
  error: { type: string; message: string };
}

const folder = tempDir('examples');
const EXAMPLE_WORKERS: Example[] = [
  {
    language: 'bash and curl',
    command: () => ['bash', join(EXAMPLES, 'worker.sh'), 'sh', '-c', COMMAND],
    result: 'hello "ann"\n\tand all',
    error: { type: 'exit 3', message: 'no such address' },
  },
  {
    language: 'Python',
    command: () => ['python3', join(EXAMPLES, 'worker.py')],
    result: { greeting: 'hello ann' },
    error: { type: 'ValueError', message: 'no such address' },
  },
  {
    language: 'Go',
    command: () => [join(folder, 'worker')],
    result: { greeting: 'hello ann' },
    error: { type: '*errors.errorString', message: 'no such address' },
  },
];

const redis = withRedis();
let url: string;
let client: Client;

beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const env = { QUEUE_PORT: String(port), REDIS_URL: redis.url };
  await runProcess({ script: MAIN, env }).waitForLine(/"msg":"ready"/, 60_000);
  client = createClient({ url });
  execFileSync('go', ['build', '-o', join(folder, 'worker'), join(EXAMPLES, 'worker.go')], { stdio: 'inherit' });
}, 300_000);
afterAll(() => client.close());

let running: ChildProcess | undefined;
let exited: Promise<unknown>;
afterEach(async () => {
  running?.kill('SIGTERM');
  await exited;
});

function start({ command }: Example, queue: Queue): void {
  const [program = '', ...args] = command();
  const env = { ...process.env, QUEUE_URL: url, QUEUE: queue.name, LEASE_MS: String(LEASE_MS), SLOTS: '1' };
  const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  running = child;
  exited = new Promise((resolve) => child.once('exit', resolve));
}

describe.each(EXAMPLE_WORKERS)('the worker in $language', (example) => {
  let queue: Queue;
  const enqueue = (data: unknown) => queue.enqueue({ name: 'greet', data, attempts: 1 });

  beforeAll(() => {
    queue = client.queues.queue(`greet-${example.language.split(' ')[0]}`);
  });

  test('does jobs, keeps one for longer than its lease, and says why one failed', async () => {
    const quick = await enqueue({ name: 'ann' });
    const failing = await enqueue({ name: 'bob', fail: 'no such address' });
    const slow = await enqueue({ name: 'ann', seconds: 9 });
    start(example, queue);
    expect(await queue.awaitEnd(quick.id, { waitMs: 30_000 })).toMatchObject({
      state: 'completed',
      result: example.result,
    });
    const failed = await queue.awaitEnd(failing.id, { waitMs: 30_000 });
    expect(failed).toMatchObject({ state: 'dead', error: example.error });
    expect(await queue.awaitEnd(slow.id, { waitMs: 30_000 })).toMatchObject({
      state: 'completed',
      stalls: 0,
      attempt: 1,
    });
    // The outcome of the last was told although no job was left to ask for.
    expect((await queue.stats()).counts.leased).toBe(0);
  }, 150_000);

  test('SIGTERM gives back what it does, and ends it', async () => {
    const { id } = await enqueue({ name: 'ann', seconds: 60 });
    start(example, queue);
    await eventually(async () => (await queue.job(id)).state === 'leased', { timeoutMs: 30_000 });
    await sleep(200);
    const startedMs = performance.now();
    running!.kill('SIGTERM');
    await exited;
    expect(performance.now() - startedMs).toBeLessThan(15_000);
    // What was on its way to a worker that hung up is given back by the service, a moment later.
    await eventually(async () => expect(await queue.job(id)).toMatchObject({ state: 'waiting', stalls: 0 }));
    await queue.cancel(id);
  });

  test('an idle one ends at once, and takes no job along', async () => {
    start(example, queue);
    await sleep(500);
    running!.kill('SIGTERM');
    await exited;
    const { id } = await enqueue({ name: 'ann' });
    await sleep(200);
    expect((await queue.job(id)).state).toBe('waiting');
    await queue.cancel(id);
  });
});
