/**
 * What a decision costs where it is made in process: `node libs/rate-limit/src/rate-limiter.bench.ts`, 20 s.
 *
 * Needs no service: a small one runs in a process of its own, and what is measured asks it about once in 100 ms. The
 * wall times of single calls are in nanoseconds and include the two readings of the clock, 50 ns or so each; `mean` is of
 * a loop without them. The middleware is called as Express would, with a request that has what it looks at.
 */
import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Ledger, policyOf, processClock, stateKey } from '@plinth/limiter';
import { rateLimit } from 'express-rate-limit';
import { createRateLimiter, express, type RateLimiter } from './rate-limit.ts';

const LIMIT = { limit: 1_000_000_000, windowMs: 3_600_000 };
const CALLS = 200_000;
const ROUNDS = 7;
const KEYS = 100;

interface Question {
  limit: string;
  key: string;
  cost?: number;
  want?: number;
  ttlMs?: number;
  units?: number;
}

/** Check, lease and return, as the service answers them. */
function serve(): void {
  const ledger = new Ledger({ clock: processClock() });
  const policy = policyOf(LIMIT);
  const chargeOf = ({ limit, key, cost = 1 }: Question) => ({ key: stateKey([limit, key]), policy, cost });
  const facts = { name: 'api', algorithm: 'gcra', limit: LIMIT.limit, windowMs: LIMIT.windowMs };
  const lend = (one: Question) => {
    const { units, remaining, resetUs } = ledger.grant(chargeOf(one), one.want!, 0.1);
    return { ...facts, units, ttlMs: one.ttlMs, remaining, resetMs: Math.ceil(resetUs / 1_000) };
  };
  const check = (one: Question) => {
    const [outcome] = ledger.decide([chargeOf(one)], 'take').outcomes;
    const { isAllowed: allowed, remaining, resetUs } = outcome!;
    return { allowed, limits: [{ ...facts, allowed, remaining, resetMs: Math.ceil(resetUs / 1_000) }] };
  };
  const giveBack = (one: Question) => {
    ledger.give([chargeOf({ ...one, cost: one.units! })]);
    return { limits: 1 };
  };
  const answers: Record<string, (one: Question) => unknown> = { check, lease: lend, return: giveBack };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    const answer = answers[request.url!.split('/').at(-1)!]!;
    response.end(JSON.stringify(Array.isArray(body) ? body.map(answer) : answer(body)));
  });
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port));
  process.once('disconnect', () => process.exit());
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

interface Measured {
  mean: number;
  p50: number;
  p99: number;
  p999: number;
}

/** Medians of the rounds. Between batches the event loop turns, so that leases are refilled as in a server. */
async function measure(call: (at: number) => unknown): Promise<Measured> {
  const rounds: Measured[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const tookNs = new Float64Array(CALLS);
    let loopNs = 0;
    for (let at = 0; at < CALLS; at += 1_000) {
      for (let one = at; one < at + 1_000; one++) {
        const before = process.hrtime.bigint();
        call(one);
        tookNs[one] = Number(process.hrtime.bigint() - before);
      }
      const before = process.hrtime.bigint();
      for (let one = at; one < at + 1_000; one++) call(one);
      loopNs += Number(process.hrtime.bigint() - before);
      await new Promise((resolve) => setImmediate(resolve));
    }
    tookNs.sort();
    const quantile = (part: number) => tookNs[Math.floor(CALLS * part)]!;
    // The first is for the compiler.
    if (round > 0)
      rounds.push({ mean: loopNs / CALLS, p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999) });
  }
  const of = (name: keyof Measured) => median(rounds.map((one) => one[name]));
  return { mean: of('mean'), p50: of('p50'), p99: of('p99'), p999: of('p999') };
}

function print(name: string, { mean, p50, p99, p999 }: Measured, note = ''): void {
  const numbers = [mean, p50, p99, p999].map((ns) => ns.toFixed(0).padStart(8));
  console.log(`${name.padEnd(44)}${numbers.join('')}  ${note}`);
}

/** A request as far as middleware looks at it; the address is a new string each time, as out of a socket. */
function requestOf(at: number) {
  const address = `10.0.0.${at % KEYS}`;
  const request = { headers: {}, socket: { remoteAddress: address }, ip: address, app: { get: () => false } };
  const response = { headersSent: false, setHeader() {}, once() {}, append() {} };
  return { request: request as never, response: response as never };
}
const pass = () => {};

async function compare(limiter: RateLimiter): Promise<void> {
  console.log(`${'ns per call'.padEnd(44)}${['mean', 'p50', 'p99', 'p99.9'].map((name) => name.padStart(8)).join('')}`);
  print('an empty call', await measure(pass));
  const keys = Array.from({ length: KEYS }, (_, at) => `key-${at}`);
  const local = createRateLimiter({ local: LIMIT });
  const { byLease: before } = limiter.counts;
  const leased = await measure((at) => limiter.take('api', keys[at % KEYS]!));
  const share = ((limiter.counts.byLease - before) / (2 * CALLS * (ROUNDS + 1))) * 100;
  print('take with a lease', leased, `${share.toFixed(2)} % of the calls were decided by lease`);
  print('take, all in process', await measure((at) => local.take('api', keys[at % KEYS]!)));
  print('making a request and a response', await measure(requestOf));
  const ours = express({ limiter, limit: 'api' });
  print(
    'our middleware with a lease, request included',
    await measure((at) => {
      const { request, response } = requestOf(at);
      ours(request, response, pass);
    }),
  );
  const bare = express({ limiter, limit: 'api', headers: 'none' });
  print(
    'the same without headers',
    await measure((at) => {
      const { request, response } = requestOf(at);
      bare(request, response, pass);
    }),
  );
  const theirs = rateLimit({
    windowMs: LIMIT.windowMs,
    limit: LIMIT.limit,
    legacyHeaders: false,
    standardHeaders: 'draft-8',
    validate: false,
  });
  // It calls next in a later turn, so its mean is taken with the waiting, one by one.
  const theirCall = async (at: number) => {
    const { request, response } = requestOf(at);
    await new Promise<void>((resolve) => void theirs(request, response, () => resolve()));
  };
  print('express-rate-limit, memory, until next', await measureAwaited(theirCall));
  const ourCall = async (at: number) => {
    const { request, response } = requestOf(at);
    await new Promise<void>((resolve) => ours(request, response, () => resolve()));
  };
  print('our middleware with a lease, until next', await measureAwaited(ourCall));
  await local.close();
}

async function measureAwaited(call: (at: number) => Promise<void>): Promise<Measured> {
  const calls = CALLS / 4;
  const rounds: Measured[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const tookNs = new Float64Array(calls);
    for (let at = 0; at < calls; at++) {
      const before = process.hrtime.bigint();
      await call(at);
      tookNs[at] = Number(process.hrtime.bigint() - before);
      if (at % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const mean = tookNs.reduce((sum, ns) => sum + ns, 0) / calls;
    tookNs.sort();
    const quantile = (part: number) => tookNs[Math.floor(calls * part)]!;
    if (round > 0) rounds.push({ mean, p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999) });
  }
  const of = (name: keyof Measured) => median(rounds.map((one) => one[name]));
  return { mean: of('mean'), p50: of('p50'), p99: of('p99'), p999: of('p999') };
}

if (process.send) serve();
else {
  const service = fork(fileURLToPath(import.meta.url));
  const port = await new Promise<number>((resolve) => service.once('message', (message) => resolve(message as number)));
  const limiter = createRateLimiter({ url: `http://127.0.0.1:${port}`, timeoutMs: 1_000, leases: {} });
  await compare(limiter);
  await limiter.close();
  service.disconnect();
}
