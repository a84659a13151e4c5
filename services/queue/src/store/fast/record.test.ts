/** The texts that jobs are kept as: the same to whoever writes and whoever reads, Node or Lua. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { withRedis } from '@plinth/testkit';
import type { NewJob } from '../../core/job.ts';
import { newJob } from '../lane-bench.contract.ts';
import { RedisStore } from '../redis.ts';
import { queueKeys } from './keys.ts';
import { BASE } from './lua/base.ts';
import {
  errorText,
  escaped,
  historyOf,
  leaseOf,
  type ParentLink,
  RS,
  recordBody,
  recordOf,
  US,
  unescaped,
} from './record.ts';
import { script } from './scripts.ts';

const ENQUEUED_MS = 1_700_000_000_000;
const EVIL = `a${US}b${RS}c\x1dd,e "ü"\n`;

const PLAIN = newJob({ name: 'mail', data: '{"to":1}', backoff: { ...newJob().backoff, jitter: 1 } });
const FULL: NewJob = {
  name: EVIL,
  data: '{"a":[1,"x"]}',
  runAtMs: 0,
  priority: 2_097_151,
  attempts: 1,
  backoff: { type: 'fixed', delayMs: 0, factor: 1.5, maxMs: 10, jitter: 0.25 },
  timeoutMs: 7,
  expiresAtMs: ENQUEUED_MS + 1,
  dedup: { id: `x:${EVIL}`, mode: 'keep-last', ttlMs: undefined },
  group: EVIL,
  tags: ['a,b', EVIL, 'c'],
  retain: { count: 0, ageMs: 0 },
  callbackUrl: 'https://a.example/?b,c',
  failureCallbackUrl: 'https://b.example',
  resultTo: 'kv://b/k',
  traceparent: '00-1-2-01',
  tracestate: 'a=b,c=d',
};

const textOf = (job: NewJob, parent?: ParentLink) => {
  const body = recordBody(job, parent);
  return ENQUEUED_MS.toString(36) + (body.startsWith(US) ? US : '') + body;
};

describe('a record', () => {
  test.each([
    ['of a plain job', PLAIN, undefined],
    ['of a job with everything', FULL, { id: '12', onFailure: 'ignore' } as const],
    ['of a child that fails its parent', PLAIN, { id: '7', onFailure: 'fail-parent' } as const],
    ['with only the last text', { ...PLAIN, resultTo: 'kv://b/k', name: '' }, undefined],
    ['with a dedup id for a time', { ...PLAIN, dedup: { id: '', mode: 'throttle', ttlMs: 0 } as const }, undefined],
  ])('%s comes back as it was', (_, job, parent) => {
    const { runAtMs, ...kept } = job;
    expect(recordOf(textOf(job, parent))).toEqual({ ...kept, parent, enqueuedAtMs: ENQUEUED_MS, dueAtMs: ENQUEUED_MS });
  });

  test('of a plain job takes ten bytes beside name and data', () => {
    expect(Buffer.byteLength(textOf(PLAIN))).toBe(10 + PLAIN.name.length + PLAIN.data.length);
  });

  test('says when the job is due, if that was later', () => {
    const text = `${ENQUEUED_MS.toString(36)}${US}${(ENQUEUED_MS + 5).toString(36)}${recordBody(PLAIN)}`;
    expect(recordOf(text)).toMatchObject({ enqueuedAtMs: ENQUEUED_MS, dueAtMs: ENQUEUED_MS + 5 });
  });
});

describe('a history', () => {
  test('of a job that nobody has had is empty', () => {
    for (const none of [null, undefined, ''])
      expect(historyOf(none)).toMatchObject({ attempts: 0, stalls: 0, entries: [] });
  });

  test('has its attempts with their errors, with and without a stack', () => {
    const withStack = errorText({ type: EVIL, message: EVIL, stack: EVIL });
    const without = errorText({ type: 'T', message: '', stack: undefined });
    const entries = [
      `1${US}${escaped(EVIL)}${US}5${US}6${US}failed${US}${withStack}`,
      `2${US}w${US}7${US}8${US}failed${US}${without}`,
      `3${US}w${US}9${US}9${US}completed`,
    ];
    expect(historyOf([`3${US}1${US}4${US}9${US}${escaped(EVIL)}`, ...entries].join(RS))).toEqual({
      ...{ attempts: 3, stalls: 1, dueAtMs: 4, finishedAtMs: 9, reason: EVIL },
      entries: [
        {
          ...{ attempt: 1, worker: EVIL, startedAtMs: 5, endedAtMs: 6, outcome: 'failed' },
          error: { type: EVIL, message: EVIL, stack: EVIL },
        },
        {
          ...{ attempt: 2, worker: 'w', startedAtMs: 7, endedAtMs: 8, outcome: 'failed' },
          error: { type: 'T', message: '', stack: undefined },
        },
        { attempt: 3, worker: 'w', startedAtMs: 9, endedAtMs: 9, outcome: 'completed', error: undefined },
      ],
    });
  });
});

test('separators are written otherwise, and come back', () => {
  expect(escaped(EVIL)).not.toMatch(new RegExp(`[${US}${RS}]`));
  expect(unescaped(escaped(EVIL))).toBe(EVIL);
  expect(unescaped(escaped('\x1da'))).toBe('\x1da');
});

describe('a script', () => {
  const redis = withRedis();
  let store: RedisStore;
  beforeAll(async () => {
    store = new RedisStore({ url: redis.url, commandTimeoutMs: 5_000, connectTimeoutMs: 2_000 });
    await store.ready(5_000);
  });
  afterAll(() => store.close());

  test('reads of a record what Node has written', async () => {
    const read = script('read', BASE, {
      keys: [],
      text: `local m = machineOf(ARGV[1])
        local p = policyOf(m.policy)
        return { m.enqueuedAt, m.dueAt, m.expiresAt, m.group, m.priority, m.dedup, m.parent, p.attempts, p.type, p.delayMs,
          tostring(p.factor), p.maxMs, tostring(p.jitter), p.timeoutMs, p.keep, p.ageMs, base36(tonumber(ARGV[2])) }`,
    });
    const at = ENQUEUED_MS.toString(36);
    const parent = { id: '12', onFailure: 'ignore' } as const;
    const dedup = `k:${escaped(`x:${EVIL}`)}`;
    expect(await store.run(read, queueKeys('q'), [textOf(FULL, parent), ENQUEUED_MS])).toEqual([
      ...[at, '', (ENQUEUED_MS + 1).toString(36), escaped(EVIL), 2_097_151, dedup, 'i12'],
      ...[1, 'f', 0, '1.5', 10, '0.25', 7, 0, 0, at],
    ]);
    expect(await store.run(read, queueKeys('q'), [textOf(PLAIN), 35])).toEqual([
      ...[at, '', '', '', 0, '', '', 5, 'e', 1_000, '2', 3_600_000, '1', 0, 1_000, 3_600_000, 'z'],
    ]);
  });

  test('writes histories and leases that Node and it read alike', async () => {
    const write = script('write', BASE, {
      keys: [],
      text: `local text = leaseText('17', { attempt = 2, stalls = 1, startedAt = '5', worker = ARGV[1], group = 'g', policy = '',
          dedup = '', parent = '', cancel = '-' .. ARGV[1], past = '1' })
        local e, token = leaseOf(text)
        local h = historyOf(ARGV[2])
        return { text, token, e.attempt, e.worker, e.cancel, e.past, historyText(h), historyText(historyOf('')) }`,
    });
    const history = `3${US}1${US}4${US}9${US}r${RS}1${US}w${US}5${US}6${US}failed`;
    const [text, ...fields] = (await store.run(write, queueKeys('q'), [escaped(EVIL), history])) as string[];
    expect(fields).toEqual(['17', 2, escaped(EVIL), `-${escaped(EVIL)}`, '1', history, `0${US}0${US}${US}${US}`]);
    expect(leaseOf(text!)).toEqual({
      ...{ token: '17', attempt: 2, stalls: 1, startedAtMs: 5, worker: EVIL, cancel: EVIL },
    });
  });
});
