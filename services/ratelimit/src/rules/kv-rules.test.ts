import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bus, connectBus } from '@plinth/bus';
import { createClient, type KvBucket } from '@plinth/client';
import { RULES_BUCKET } from '@plinth/contracts/ratelimit';
import { Problem } from '@plinth/problem';
import { eventually, startTestNats, type TestEngine } from '@plinth/testkit';
import { LiveRules } from '../core/rule-book.ts';
import { RulesRefused } from './fault.ts';
import { type KvProcess, kvProcess } from './kv-process.fixture.ts';
import { KvRules } from './kv-rules.ts';

const text = (domain: string, limit: number | string = 5) =>
  `domain: ${domain}\nrules:\n  - {name: r, match: {user: "*"}, limit: ${limit}, window: 1m}\n`;

interface Replica {
  rules: LiveRules;
  kv: KvRules;
  lines: string[];
  limit(domain: string): number | undefined;
}

const open: { stop(): Promise<void> }[] = [];

function replica(bus: Bus, pollMs = 60_000): Replica {
  const rules = new LiveRules();
  const lines: string[] = [];
  const say = (level: string) => (msg: string, fields?: object) =>
    void lines.push(`${level} ${msg} ${JSON.stringify(fields)}`);
  const log = { debug: () => {}, info: say('info'), warn: say('warn'), error: say('error') };
  const kv = new KvRules({ bus, rules, log, pollMs });
  open.push(kv);
  return { rules, kv, lines, limit: (domain) => rules.book.named(domain, 'r')?.policy?.limit };
}

async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

let nats: TestEngine;
let store: KvProcess;
let buses: [Bus, Bus];
let bucket: KvBucket;

beforeAll(async () => {
  nats = await startTestNats();
  store = await kvProcess(nats.url);
  buses = [await connectBus({ url: nats.url, name: 'rl-0' }), await connectBus({ url: nats.url, name: 'rl-1' })];
  bucket = createClient({ url: store.url }).kv.bucket(RULES_BUCKET);
}, 60_000);
afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});
afterAll(async () => {
  for (const bus of buses ?? []) await bus.close();
  await store?.kill();
});

describe('rules in the key-value store', () => {
  test('a store without the bucket is one without rules', async () => {
    const one = replica(buses[0]);
    await one.kv.sync();
    expect([one.kv.notReady(), one.kv.list(), one.rules.version]).toEqual([undefined, [], 0]);
    expect(await one.kv.remove('nobody')).toBe(false);
  });

  test('a put is in force here when it is answered, and on all replicas within a second', async () => {
    const [one, two] = [replica(buses[0]), replica(buses[1])];
    await Promise.all([one.kv.sync(), two.kv.sync()]);
    const delaysMs: number[] = [];
    for (let limit = 1; limit <= 10; limit++) {
      const { revision } = await one.kv.put('api', text('api', limit));
      const answeredMs = performance.now();
      expect(one.limit('api')).toBe(limit);
      expect(one.kv.get('api')).toMatchObject({ domain: 'api', revision, text: text('api', limit), faults: [] });
      await eventually(() => expect(two.limit('api')).toBe(limit), { intervalMs: 2 });
      delaysMs.push(performance.now() - answeredMs);
    }
    process.stderr.write(`the other replica followed within ${Math.max(...delaysMs).toFixed(0)} ms of the answer\n`);
    expect(Math.max(...delaysMs)).toBeLessThan(1_000);
    expect(await one.kv.remove('api')).toBe(true);
    expect(one.rules.book.domains()).toEqual([]);
    await eventually(() => expect(two.rules.book.domains()).toEqual([]));
    expect(two.lines.filter((line) => line.includes('gone'))).toHaveLength(1);
  });

  test('a put on a condition that does not hold changes nothing', async () => {
    const { kv, limit } = replica(buses[0]);
    const { revision } = await kv.put('cond', text('cond', 1), 0);
    for (const stale of [0, revision - 1, revision + 1]) {
      expect(await thrownBy(kv.put('cond', text('cond', 2), stale))).toMatchObject({ code: 'precondition_failed' });
    }
    expect(limit('cond')).toBe(1);
    await kv.put('cond', text('cond', 3), revision);
    expect(limit('cond')).toBe(3);
    expect(await thrownBy(kv.remove('cond', revision))).toMatchObject({ code: 'precondition_failed' });
    expect(limit('cond')).toBe(3);
    await kv.remove('cond');
  });

  test('a document at fault, or of another domain, is not stored', async () => {
    const { kv } = replica(buses[0]);
    for (const bad of [text('bad', -1), text('other')])
      expect(await thrownBy(kv.put('bad', bad))).toBeInstanceOf(RulesRefused);
    expect(await bucket.get('bad')).toBeUndefined();
  });

  test('a document too large for the store is refused by it', async () => {
    const { kv } = replica(buses[0]);
    const large = `${text('large')}# ${'x'.repeat(1_048_576)}`;
    const thrown = (await thrownBy(kv.put('large', large))) as Problem;
    expect(thrown).toBeInstanceOf(Problem);
    expect(['value_too_large', 'body_too_large']).toContain(thrown.code);
  });

  test('what was put past us and is at fault is told, and the earlier rules stay', async () => {
    const one = replica(buses[0]);
    await one.kv.put('past', text('past', 1));
    await bucket.put('past', text('past', -1));
    await bucket.put('fresh', 'nonsense');
    await eventually(() => expect(one.kv.faults()).toHaveLength(2));
    expect(one.limit('past')).toBe(1);
    expect(one.kv.get('past')).toMatchObject({ document: undefined, text: text('past', -1) });
    expect(one.kv.faults().map(String)).toEqual([
      'kv:fresh:1:1: the document must be a mapping: domain, and rules or descriptors',
      'kv:past:3:42: limit is -1; it must be a whole number from 0 to 1,000,000,000, or unlimited',
    ]);
    expect(one.kv.counts.refusals).toBe(2);
    await one.kv.sync();
    expect(one.lines.filter((line) => line.startsWith('error'))).toHaveLength(2);
    // A replica that comes now has nothing earlier.
    const two = replica(buses[1]);
    await two.kv.sync();
    expect([two.limit('past'), two.kv.faults().length]).toEqual([undefined, 2]);
    await bucket.put('past', text('past', 4));
    await eventually(() => expect([one.limit('past'), two.limit('past')]).toEqual([4, 4]));
    for (const key of ['past', 'fresh']) await bucket.delete(key);
    await eventually(() => expect(one.kv.faults()).toEqual([]));
  });

  test("a value that the bus cannot carry is that one's fault, and the others go on", async () => {
    const one = replica(buses[0]);
    await bucket.put('huge', `${text('huge')}# ${'x'.repeat(1_048_576 - 200)}`);
    await bucket.put('small', text('small', 7));
    await eventually(() => expect(one.limit('small')).toBe(7));
    expect(one.kv.faults().map(String)).toEqual([
      expect.stringMatching(/^kv:huge:1:1: cannot be fetched: .*1,048,576/),
    ]);
    for (const key of ['huge', 'small']) await bucket.delete(key);
  });

  test('many documents are all found', async () => {
    const names = Array.from({ length: 30 }, (_, at) => `d${at}`);
    await Promise.all(names.map((name) => bucket.put(name, text(name))));
    const one = replica(buses[0]);
    await one.kv.sync();
    expect(one.rules.book.domains().sort()).toEqual(names.toSorted());
    await bucket.deleteRange({ prefix: 'd' });
    await eventually(() => expect(one.rules.book.domains()).toEqual([]));
  });
});

describe('when something is away', () => {
  test('a store that is killed keeps its rules in force; what is changed meanwhile is followed after', async () => {
    const one = replica(buses[0], 500);
    await one.kv.put('stay', text('stay', 1));
    await store.kill();
    await eventually(() => expect(one.kv.notReady()).toContain('cannot be read'), { timeoutMs: 10_000 });
    expect(one.limit('stay')).toBe(1);
    const problem = (await thrownBy(one.kv.put('stay', text('stay', 2)))) as Problem;
    expect(['unavailable', 'outcome_unknown']).toContain(problem.code);
    // A replica that starts now starts without, and takes them when the store is back.
    const two = replica(buses[1], 60_000);
    await two.kv.sync();
    expect([two.limit('stay'), two.rules.version]).toEqual([undefined, 0]);
    await store.start();
    await eventually(() => expect([one.kv.notReady(), two.kv.notReady()]).toEqual([undefined, undefined]), {
      timeoutMs: 10_000,
    });
    expect(two.limit('stay')).toBe(1);
    expect(two.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
    await one.kv.put('stay', text('stay', 3));
    await eventually(() => expect(two.limit('stay')).toBe(3));
  }, 60_000);

  test('what changed while the bus was away is followed when it is back', async () => {
    const one = replica(buses[0]);
    await one.kv.put('bus', text('bus', 1));
    await nats.kill();
    await eventually(() => expect(buses[0].notReady()).toBeDefined());
    // Over HTTP the store works without the bus.
    await bucket.put('bus', text('bus', 2));
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(one.limit('bus')).toBe(1);
    await nats.start();
    await eventually(() => expect(one.limit('bus')).toBe(2), { timeoutMs: 20_000 });
  }, 60_000);

  test('a change whose notice was lost is found by the poll', async () => {
    const deaf = { ...bound(buses[0]), subscribe: () => ({ stop: async () => {} }) } as unknown as Bus;
    const one = replica(deaf, 500);
    await one.kv.sync();
    await bucket.put('poll', text('poll', 6));
    await eventually(() => expect(one.limit('poll')).toBe(6), { timeoutMs: 5_000 });
  });
});

const bound = (bus: Bus) => ({ request: bus.request, notReady: bus.notReady });
