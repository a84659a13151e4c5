import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { CheckAnswer, HeaderStyle, LimitAnswer } from '@plinth/contracts/ratelimit';
import { seededRandom } from '@plinth/testkit';
import { limitHeaders, retryAfterMsOf } from './headers.ts';
import { limitProblem } from './limit-problem.ts';

const burst: LimitAnswer = {
  name: 'burst',
  allowed: true,
  algorithm: 'gcra',
  limit: 100,
  windowMs: 60_000,
  remaining: 50,
  resetMs: 30_000,
};
const daily: LimitAnswer = {
  ...burst,
  name: 'daily',
  limit: 1_000,
  windowMs: 86_400_000,
  remaining: 7,
  resetMs: 40_000,
};
const allowed: CheckAnswer = { allowed: true, limits: [burst, daily] };
const denied: CheckAnswer = {
  allowed: false,
  limits: [{ ...burst, allowed: false, remaining: 0, retryAfterMs: 1_001 }, daily],
  violated: ['burst'],
  retryAfterMs: 1_001,
};
const inStyle = (style: HeaderStyle, answer: CheckAnswer) => limitHeaders(answer, { style, nowMs: 1_700_000_000_000 });

describe('draft-10', () => {
  test('has all policies and what is left of them, by name', () => {
    expect(limitHeaders(allowed)).toEqual({
      'ratelimit-policy': '"burst";q=100;w=60, "daily";q=1000;w=86400',
      ratelimit: '"burst";r=50;t=30, "daily";r=7;t=40',
    });
  });

  test('of a denial says when there is more, and Retry-After is not earlier', () => {
    expect(limitHeaders(denied)).toEqual({
      'ratelimit-policy': '"burst";q=100;w=60, "daily";q=1000;w=86400',
      ratelimit: '"burst";r=0;t=2, "daily";r=7;t=40',
      'retry-after': '2',
    });
  });

  test.each([
    ['plain', '"plain"'],
    ['two words', '"two words"'],
    ['a"b', '"a\\"b"'],
    ['a\\b', '"a\\\\b"'],
    ['grüße', '"gr%C3%BC%C3%9Fe"'],
    ['50% off', '"50% off"'],
    ['50% für', '"50%25 f%C3%BCr"'],
    ['😀', '"%F0%9F%98%80"'],
    ['a\r\nset-cookie: x', '"a%0D%0Aset-cookie: x"'],
    ['a\0b\x7f', '"a%00b%7F"'],
    ['\ud800', '"%EF%BF%BD"'],
  ])('the name %j is written %s', (name, written) => {
    expect(limitHeaders({ allowed: true, limits: [{ ...burst, name }] }).ratelimit).toBe(`${written};r=50;t=30`);
  });

  test('no name gets anything into a header but printable ASCII', () => {
    const random = seededRandom();
    for (let round = 0; round < 5_000; round++) {
      const name = String.fromCharCode(
        ...Array.from({ length: random.int(12) }, () => random.int(random.pick([128, 65_536]))),
      );
      for (const style of ['draft-10', 'envoy'] as const) {
        for (const value of Object.values(inStyle(style, { allowed: true, limits: [{ ...burst, name }] }))) {
          expect(value).toMatch(/^[ -~]+$/);
        }
      }
      expect(limitHeaders({ allowed: true, limits: [{ ...burst, name }] }).ratelimit).toMatch(
        /^"(?:[ !#-[\]-~]|\\["\\])*";r=50;t=30$/,
      );
    }
  });

  test('tells whose limit it is by a keyed hash that is 12 bytes of HMAC-SHA256', () => {
    const bytes = createHmac('sha256', 'secret').update('alice').digest().subarray(0, 12).toString('base64');
    const partition = { key: 'alice', secret: 'secret' };
    expect(limitHeaders({ allowed: true, limits: [burst] }, { partition })).toEqual({
      'ratelimit-policy': `"burst";q=100;w=60;pk=:${bytes}:`,
      ratelimit: `"burst";r=50;t=30;pk=:${bytes}:`,
    });
  });

  test('counts places as concurrent requests, without a window', () => {
    const places: LimitAnswer = { name: 'p', allowed: true, algorithm: 'concurrency', limit: 5, remaining: 4 };
    expect(limitHeaders({ allowed: true, limits: [places] })).toEqual({
      'ratelimit-policy': '"p";q=5;qu="concurrent-requests"',
      ratelimit: '"p";r=4;t=0',
    });
  });

  test('never tells a window of 0 seconds, nor a part of a unit', () => {
    const odd = { ...burst, windowMs: 500, remaining: 1.5, resetMs: 1 };
    expect(limitHeaders({ allowed: true, limits: [odd] })).toEqual({
      'ratelimit-policy': '"burst";q=100;w=1',
      ratelimit: '"burst";r=1;t=1',
    });
  });

  test('marks what was decided without the service', () => {
    expect(limitHeaders({ allowed: true, limits: [burst], degraded: 'local' }).ratelimit).toBe(
      '"burst";r=50;t=30;plinth-degraded=local',
    );
  });

  test('is silent about limits that are only watched or have no number', () => {
    const limits: LimitAnswer[] = [
      { ...burst, shadow: true },
      { name: 'free', allowed: true },
    ];
    expect(limitHeaders({ allowed: true, limits })).toEqual({});
  });
});

describe('older styles tell of the limit that is nearest', () => {
  test('draft-7', () => {
    expect(inStyle('draft-7', allowed)).toEqual({
      'ratelimit-policy': '100;w=60, 1000;w=86400',
      ratelimit: 'limit=1000, remaining=7, reset=40',
    });
    expect(inStyle('draft-7', denied)).toMatchObject({
      ratelimit: 'limit=100, remaining=0, reset=2',
      'retry-after': '2',
    });
  });

  test('draft-6', () => {
    expect(inStyle('draft-6', denied)).toEqual({
      'ratelimit-policy': '100;w=60, 1000;w=86400',
      'ratelimit-limit': '100',
      'ratelimit-remaining': '0',
      'ratelimit-reset': '2',
      'retry-after': '2',
    });
  });

  test('x, with the time of day', () => {
    expect(inStyle('x', denied)).toEqual({
      'x-ratelimit-limit': '100',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': '1700000002',
      'retry-after': '2',
    });
  });

  test('envoy, as Envoy writes it', () => {
    expect(inStyle('envoy', allowed)).toEqual({
      'x-ratelimit-limit': '1000, 100;w=60;name="burst", 1000;w=86400;name="daily"',
      'x-ratelimit-remaining': '7',
      'x-ratelimit-reset': '40',
    });
  });

  test('none: only when to come back', () => {
    expect(inStyle('none', allowed)).toEqual({});
    expect(inStyle('none', denied)).toEqual({ 'retry-after': '2' });
  });
});

describe('Retry-After', () => {
  test.each([
    [1, '1'],
    [999, '1'],
    [1_000, '1'],
    [1_001, '2'],
    [0, '1'],
  ])('of %d ms is %s s: never early, never now', (retryAfterMs, seconds) => {
    const answer: CheckAnswer = { allowed: false, limits: [], retryAfterMs };
    expect(limitHeaders(answer)['retry-after']).toBe(seconds);
  });

  test('is not there for one who will never be let in, nor for one who was', () => {
    expect(limitHeaders({ allowed: false, limits: [], retryAfterMs: null })).toEqual({});
    expect(limitHeaders(allowed)['retry-after']).toBeUndefined();
  });

  test('is that of the limit that denies longest; one that does not deny does not count', () => {
    const longer = { ...daily, allowed: false, retryAfterMs: 9_500 };
    expect(retryAfterMsOf({ ...denied, limits: [...denied.limits, longer] })).toBe(9_500);
    expect(retryAfterMsOf(denied)).toBe(1_001);
    expect(retryAfterMsOf({ ...denied, limits: [{ ...longer, shadow: true }] })).toBe(1_001);
  });
});

describe('the problem of a denial', () => {
  test('names the limits, and says when there is more', () => {
    const problem = limitProblem(denied);
    expect(problem.toBody()).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'A limit has been reached',
      status: 429,
      code: 'rate_limited',
      detail: 'denied by "burst"; more in 1001 ms',
      retryable: 'safe',
      retryAfterMs: 1_001,
      'violated-policies': ['burst'],
    });
    expect(problem.toHeaders()).toEqual({ 'retry-after': '2' });
  });

  test('is no 429 when the limiter is away', () => {
    const problem = limitProblem({ allowed: false, limits: [], retryAfterMs: 1_000, degraded: 'closed' });
    expect(problem.toBody()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
      status: 503,
      code: 'unavailable',
    });
    expect(problem.toHeaders()).toEqual({ 'retry-after': '1' });
  });

  test('of one who is blocked speaks of abnormal use', () => {
    const limits = [{ ...burst, allowed: false, because: 'blocked' as const, retryAfterMs: 5 }];
    expect(limitProblem({ allowed: false, limits, retryAfterMs: 5 }).toBody()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#abnormal-usage-detected',
      'violated-policies': ['burst'],
    });
  });

  test('of one who costs too much has no time', () => {
    const problem = limitProblem({ ...denied, retryAfterMs: null });
    expect(problem.toHeaders()).toEqual({});
    expect(problem.message).toBe('denied by "burst": waiting does not help, for it costs more than the limit holds');
  });
});
