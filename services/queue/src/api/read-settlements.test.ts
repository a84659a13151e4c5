import { describe, expect, test } from '@jest/globals';
import { LIMITS, leaseAsk, nextAsk, renewAsk, settleAsk } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import { seededRandom } from '@plinth/testkit';
import { jsonValue } from './random-json.fixture.ts';
import { type Item, readLease, readNext, readRenew, readSettle } from './read-settlements.ts';

const random = seededRandom();
const { seed, pick } = random;

/** What an item is refused for, by code and place. */
function refusal(item: Item<object> | undefined): [string, string | undefined] {
  if (item === undefined || !('problem' in item)) throw new Error(`it was taken: ${JSON.stringify(item)}`);
  const problem = item.problem as Problem;
  return [problem.code, problem.issues[0]?.path];
}

describe('settlements', () => {
  test('are read in the order acks, fails, releases, with what they leave out', () => {
    const { items } = readSettle({
      releases: [{ id: '3', token: '30' }],
      fails: [{ id: '2', token: '20', error: { message: 'no' }, final: true, retryAfterMs: 5 }],
      acks: [
        { id: '1', token: '10' },
        { id: '4', token: '40', result: { a: 1 } },
      ],
    });
    expect(items).toEqual([
      { id: '1', token: '10', kind: 'ack', result: undefined },
      { id: '4', token: '40', kind: 'ack', result: '{"a":1}' },
      {
        ...{ id: '2', token: '20', kind: 'fail', retryAfterMs: 5, isFinal: true },
        error: { type: 'Error', message: 'no', stack: undefined },
      },
      { id: '3', token: '30', kind: 'release' },
    ]);
  });

  test('one bad item is refused by itself, with its place, and the others are read', () => {
    const nested = JSON.parse(`${'['.repeat(65)}${']'.repeat(65)}`) as unknown;
    const abyss = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`) as unknown;
    const { items } = readSettle({
      acks: [
        { id: 'a', token: '1' },
        { id: 'b', token: 'x' },
        { id: 'c', token: '1', result: 'x'.repeat(LIMITS.resultBytesMax) },
        { id: 'd', token: '1', reslt: 1 },
        7,
        { id: 'e', token: '1', result: nested },
        { id: 'f', token: '1', result: abyss },
        { id: 'g', token: '1', result: 'x'.repeat(LIMITS.resultBytesMax - 2) },
      ],
      fails: [
        { id: 'h', token: '1', error: {} },
        { id: 'i', token: '1' },
      ],
    });
    expect(items.map((item) => item.id)).toEqual(['a', 'b', 'c', 'd', '', 'e', 'f', 'g', 'h', 'i']);
    expect(refusal(items[1])).toEqual(['invalid_request', '/acks/1/token']);
    expect(refusal(items[2])).toEqual(['payload_too_large', '/acks/2/result']);
    expect(refusal(items[3])).toEqual(['invalid_request', '/acks/3/reslt']);
    expect(refusal(items[4])).toEqual(['invalid_request', '/acks/4']);
    expect(refusal(items[5])).toEqual(['invalid_request', '/acks/5/result']);
    expect(refusal(items[6])).toEqual(['invalid_request', '/acks/6/result']);
    expect(items[7]).toMatchObject({ kind: 'ack' });
    expect(refusal(items[8])).toEqual(['invalid_request', '/fails/0/error/message']);
    expect(refusal(items[9])).toEqual(['invalid_request', '/fails/1/error']);
  });

  test('a failure with many words is kept in fewer', () => {
    const error = { type: 'E', message: 'm'.repeat(10_000), stack: 's'.repeat(100_000) };
    const [item] = readSettle({ fails: [{ id: 'a', token: '1', error }] }).items;
    expect(item).toMatchObject({
      error: {
        message: 'm'.repeat(LIMITS.errorMessageCharsMax),
        stack: 's'.repeat(LIMITS.errorStackCharsMax),
      },
    });
  });

  test('none at all is a fault of `ack` and none of `next`', () => {
    expect(() => readSettle({ acks: [] })).toThrow('there is none of them');
    expect(readNext(undefined, undefined)).toEqual({
      ask: { max: 1, leaseMs: 30_000, worker: '' },
      waitMs: 0,
      isBrief: false,
      items: [],
      doneCount: 0,
    });
  });

  test('the short form of acks comes first, and is refused as a whole', () => {
    const { items, doneCount } = readSettle({ done: 'a 1 b:2 99', acks: [{ id: 'c', token: '3', result: 1 }] });
    expect(doneCount).toBe(2);
    expect(items).toEqual([
      { id: 'a', token: '1', kind: 'ack', result: undefined },
      { id: 'b:2', token: '99', kind: 'ack', result: undefined },
      { id: 'c', token: '3', kind: 'ack', result: '1' },
    ]);
    for (const done of ['', 'a', 'a 1 ', 'a  1', ' a 1', 'a 1 b', 'a x', 'a 1\n', 'ä 1', 7, null, ['a', '1']])
      expect(() => readSettle({ done })).toThrow('/done');
    const many = Array.from({ length: 1_001 }, () => 'a 1').join(' ');
    expect(() => readSettle({ done: many })).toThrow('1001 items; the most is 1000');
  });
});

test('a lease takes the time of its queue, unless it says another', () => {
  expect(readLease({}, 5_000).ask.leaseMs).toBe(5_000);
  expect(readLease({ leaseMs: 1_000 }, 5_000).ask.leaseMs).toBe(1_000);
  for (const leaseMs of [999, 3_600_001]) expect(() => readLease({ leaseMs }, 5_000)).toThrow('/leaseMs');
});

test('lines of a log are cut to 1 KiB, never in a character', () => {
  const line = `${'x'.repeat(1_023)}漢`;
  const [item] = readRenew({ leases: [{ id: 'a', token: '1', log: [line, 'short', '漢'.repeat(342)] }] });
  expect(item).toMatchObject({ log: ['x'.repeat(1_023), 'short', '漢'.repeat(341)] });
});

// ---------------------------------------------------------------- held to the schemas

const IDS = ['a', '1', 'x'.repeat(128), 'x'.repeat(129), '', 'a b', 7, null, undefined];
const TOKENS = ['1', '0', '12345678901234567890', '', '-1', 'x', 1, null, undefined];
const lease = () => ({
  ...(random() < 0.9 ? { id: random() < 0.8 ? 'a' : pick<unknown>(IDS) } : {}),
  token: random() < 0.8 ? '1' : pick<unknown>(TOKENS),
  ...(random() < 0.03 ? { other: 1 } : {}),
});
const ERRORS = [{ message: 'no' }, { message: 'no', type: 'T', stack: 's' }, { type: 'T' }, 'no', { message: 5 }, null];
const maybe = (name: string, values: readonly unknown[]) => (random() < 0.2 ? { [name]: pick(values) } : {});
const many = (one: () => unknown) => Array.from({ length: random.int(3) }, one);

const ack = () => ({ ...lease(), ...(random() < 0.3 ? { result: jsonValue(random, 3) } : {}) });
const fail = () => ({
  ...lease(),
  error: random() < 0.7 ? { message: 'm' } : pick<unknown>(ERRORS),
  ...maybe('retryAfterMs', [0, 5, -1, 0.5, '5']),
  ...maybe('final', [true, false, 1]),
});
const asks = () => ({
  ...maybe('max', [1, 1_000, 0, 1_001, '1']),
  ...maybe('leaseMs', [1_000, 3_600_000, 999, 3_600_001]),
  ...maybe('worker', ['w-1', '', 'a b', 5]),
  ...maybe('waitMs', [0, 60_000, 60_001, -1]),
  ...maybe('brief', [true, false, 1, null]),
});
const settles = () => ({
  ...(random() < 0.6 ? { acks: many(ack) } : {}),
  ...(random() < 0.4 ? { fails: many(fail) } : {}),
  ...(random() < 0.3 ? { releases: many(lease) } : {}),
  ...maybe('acks', [{}, 'x', null]),
  ...maybe('done', ['a 1', 'a 1 b 2', '', 'a', 'a 1 b', 'a  1', 'a x', 5]),
});
const renewal = () => ({
  ...lease(),
  ...maybe('leaseMs', [1_000, 999]),
  ...maybe('progress', [0.5, { at: 1 }, null]),
  ...maybe('log', [[], ['a'], 'a', [5]]),
});

/** Read without a fault anywhere. */
function isTaken(read: () => readonly Item<object>[]): boolean {
  try {
    return read().every((item) => !('problem' in item));
  } catch (error) {
    if (error instanceof Problem) return false;
    throw error;
  }
}

/** JSON leaves out what is undefined. */
const sent = (body: unknown): unknown => JSON.parse(JSON.stringify(body));

test(`readers take what the schemas of the contract take, and nothing else (seed ${seed})`, () => {
  let taken = 0;
  for (let round = 0; round < 10_000; round++) {
    const cases = [
      [sent(asks()), leaseAsk, (body: unknown) => isTaken(() => [readLease(body, undefined)])],
      [sent(settles()), settleAsk, (body: unknown) => isTaken(() => readNext(body, undefined).items)],
      [sent({ ...settles(), ...asks() }), nextAsk, (body: unknown) => isTaken(() => readNext(body, undefined).items)],
      [sent({ leases: [renewal(), ...many(renewal)] }), renewAsk, (body: unknown) => isTaken(() => readRenew(body))],
    ] as const;
    for (const [body, schema, takes] of cases) {
      const isLegal = schema.safeParse(body).success;
      if (isLegal !== takes(body)) throw new Error(`${JSON.stringify(body)}: the schema says ${isLegal}`);
      if (isLegal) taken++;
    }
  }
  expect(taken).toBeGreaterThan(10_000);
});
