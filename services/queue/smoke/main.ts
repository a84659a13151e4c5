/**
 * `helm test`, and Tilt's button: does a queue that runs somewhere really queue? Enqueues jobs, leases, renews and
 * acknowledges them through its HTTP API, as any worker would, has one fail and come again, and removes what it made. One
 * line a step; ends with 1 at the first that fails.
 *
 *     QUEUE_URL=http://127.0.0.1:7403 API_ROOT_KEY_FILE=/run/secrets/plinth/root-key node smoke/main.ts
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

const { QUEUE_URL = 'http://127.0.0.1:7403', API_ROOT_KEY_FILE } = process.env;
const TIMEOUT_MS = 15_000;
const WAIT_MS = 5_000;
/** Two runs at a time do not see each other's jobs. */
const QUEUE = `smoke-${randomUUID()}`;
const PATH = `/v1/queues/${QUEUE}`;

const authorization = API_ROOT_KEY_FILE && `Bearer ${readFileSync(API_ROOT_KEY_FILE, 'utf8').trim()}`;

async function call<Body>(method: string, path: string, body?: object): Promise<Body> {
  const response = await fetch(QUEUE_URL + path, {
    method,
    headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as Body;
}

function expectEqual(what: string, found: unknown, wanted: unknown): void {
  const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`${what} is ${is}, and should be ${should}`);
}

interface Leased {
  id: string;
  token: string;
  name: string;
  attempt: number;
}
interface Settled {
  settled: { state?: string; problem?: object }[];
}

const lease = async (max: number): Promise<Leased[]> =>
  (await call<{ jobs: Leased[] }>('POST', `${PATH}:lease`, { max, worker: 'smoke', waitMs: WAIT_MS })).jobs;

let leased: Leased[] = [];

const steps: Record<string, () => Promise<void>> = {
  async enqueue() {
    const job = { data: { from: 'smoke' }, backoff: { type: 'fixed', delayMs: 50, jitter: 0 } };
    const jobs = [
      { ...job, name: 'works' },
      { ...job, name: 'fails-once' },
    ];
    const added = await call<{ jobs: { state: string }[] }>('POST', `${PATH}/jobs`, jobs);
    expectEqual(
      'what was enqueued',
      added.jobs.map(({ state }) => state),
      ['waiting', 'waiting'],
    );
  },
  async lease() {
    leased = await lease(2);
    expectEqual(
      'what was leased',
      leased.map(({ name }) => name),
      ['works', 'fails-once'],
    );
  },
  async renew() {
    const leases = leased.map(({ id, token }) => ({ id, token, leaseMs: 30_000 }));
    const { renewed } = await call<{ renewed: { problem?: object }[] }>('POST', `${PATH}:renew`, { leases });
    expectEqual(
      'faults of renewals',
      renewed.flatMap(({ problem }) => problem ?? []),
      [],
    );
  },
  async acknowledge() {
    const [works, fails] = leased as [Leased, Leased];
    const acks = [{ id: works.id, token: works.token, result: 'done' }];
    const failures = [{ id: fails.id, token: fails.token, error: { type: 'Smoke', message: 'once' } }];
    const { settled } = await call<Settled>('POST', `${PATH}:ack`, { acks, fails: failures });
    expectEqual(
      'what became of them',
      settled.map(({ state }) => state),
      ['completed', 'retrying'],
    );
  },
  async retry() {
    const [again] = await lease(1);
    expectEqual('the second attempt', [again?.name, again?.attempt], ['fails-once', 2]);
    await call('POST', `${PATH}:ack`, { acks: [{ id: again!.id, token: again!.token }] });
  },
  async stats() {
    const { counts, load } = await call<{ counts: Record<string, number>; load: number }>('GET', `${PATH}/stats`);
    expectEqual('jobs that are done, and load', [counts.completed, load], [2, 0]);
  },
  async remove() {
    await call('DELETE', PATH);
  },
};

for (const [name, run] of Object.entries(steps)) {
  const startMs = performance.now();
  await run().catch((error: Error) => {
    console.log(`${name}: failed: ${error.message} ${error.cause ?? ''}`);
    process.exit(1);
  });
  console.log(`${name}: ok, ${(performance.now() - startMs).toFixed(0)} ms`);
}
