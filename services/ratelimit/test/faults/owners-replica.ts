/**
 * One replica as a process of its own, for `owners.test.ts`: `node owners-replica.ts <NATS url> <id> <options as JSON>`.
 * It does what it is told over IPC, and can be killed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { type Decision, type PolicySpec, policyOf } from '@plinth/limiter';
import { BackendAway } from '../../src/store/backend.ts';
import { openOwners } from '../../src/store/owners-backend.ts';

/** What a replica is told to do. */
export type Order =
  | { kind: 'load'; keys: string[]; spec: PolicySpec; clients: number; pauseMs: number }
  | { kind: 'halt' | 'drain' | 'stop' | 'metrics' | 'progress' };

/** What came of a load, by key where it says so. */
export interface Tally {
  admitted: Record<string, number>;
  denied: number;
  away: number;
  /** Neither an answer nor `BackendAway`: there must be none. */
  errors: string[];
  /** By key: the longest time it was without an answer, in milliseconds since 1970. */
  outages: Record<string, { fromMs: number; backMs: number }>;
  /** Of all decisions, in milliseconds. */
  waitMsMax: number;
  decisions: number;
}

const [url = '', id = '', options = '{}'] = process.argv.slice(2);
const nats = await connect({ servers: url, name: id, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
const log = {
  info: (msg: string, fields = {}) => console.log(`${Date.now()} ${msg} ${JSON.stringify(fields)}`),
  warn: (msg: string, fields = {}) => console.log(`${Date.now()} ${msg} ${JSON.stringify(fields)}`),
};
const backend = await openOwners({ nats, id, log, ...JSON.parse(options) });

let isHalted = false;
/** Keys without an answer, and since when. */
const missing = new Map<string, number>();
/** Of the present load. */
let progress = { admitted: 0, denied: 0 };

async function load({ keys, spec, clients, pauseMs }: Extract<Order, { kind: 'load' }>): Promise<Tally> {
  const tally: Tally = { admitted: {}, denied: 0, away: 0, errors: [], outages: {}, waitMsMax: 0, decisions: 0 };
  const policy = policyOf(spec);
  isHalted = false;
  progress = { admitted: 0, denied: 0 };
  const client = async (number: number) => {
    for (let turn = number; !isHalted; turn += clients) {
      const key = keys[turn % keys.length]!;
      const startedMs = performance.now();
      try {
        const [decision] = await backend.decide([{ charges: [{ key, policy, cost: 1 }], mode: 'take' }]);
        note(tally, key, decision!);
      } catch (error) {
        if (error instanceof BackendAway) missed(tally, key);
        else tally.errors.push((error as Error).message);
      }
      tally.waitMsMax = Math.max(tally.waitMsMax, performance.now() - startedMs);
      await sleep(pauseMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  return tally;
}

function note(tally: Tally, key: string, { isAllowed, isUndecided }: Decision): void {
  if (isUndecided === true) {
    missed(tally, key);
    return;
  }
  tally.decisions += 1;
  if (isAllowed) {
    tally.admitted[key] = (tally.admitted[key] ?? 0) + 1;
    progress.admitted += 1;
  } else {
    tally.denied += 1;
    progress.denied += 1;
  }
  const fromMs = missing.get(key);
  if (fromMs === undefined) return;
  missing.delete(key);
  const longest = tally.outages[key];
  const backMs = Date.now();
  if (longest === undefined || backMs - fromMs > longest.backMs - longest.fromMs)
    tally.outages[key] = { fromMs, backMs };
}

function missed(tally: Tally, key: string): void {
  tally.away += 1;
  if (!missing.has(key)) missing.set(key, Date.now());
}

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case 'load':
      return load(order);
    case 'halt':
      isHalted = true;
      return undefined;
    case 'drain':
      return backend.drain();
    case 'progress':
      return progress;
    case 'metrics':
      return backend.metrics();
    case 'stop':
      await backend.stop();
      return nats.close();
  }
}

process.on('message', ({ number, order }: { number: number; order: Order }) => {
  void obey(order).then(
    (result) => process.send!({ number, result }),
    (error: Error) => process.send!({ number, error: error.stack }),
  );
});
// The test is gone.
process.on('disconnect', () => process.exit(0));
console.log(`ready ${id}`);
