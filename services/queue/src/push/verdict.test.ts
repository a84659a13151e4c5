import { describe, expect, test } from '@jest/globals';
import { retryAfterMsOf, verdictOf, verdictOfFailure } from './verdict.ts';
import { WebhookFailure } from './webhook-client.ts';

const NOW_MS = Date.UTC(2030, 0, 1, 12, 0, 0);

const verdict = (status: number, headers: Record<string, string> = {}, body = '', isCut = false) =>
  verdictOf({ status, headers, body, isCut }, NOW_MS);

describe('an answer', () => {
  test.each([
    [200, '{"a":1}', '{"a":1}'],
    [201, '"text"', '"text"'],
    [204, '', undefined],
    [299, 'null', 'null'],
    [200, '<html>', undefined],
    [202, '7', '7'],
  ])('%d with %j is an ack with the result %j', (status, body, result) => {
    expect(verdict(status, {}, body)).toEqual({ kind: 'ack', result });
  });

  test('that was cut, or grew by bytes that are no UTF-8, is an ack without a result', () => {
    expect(verdict(200, {}, '1', true)).toEqual({ kind: 'ack', result: undefined });
    const long = JSON.stringify('\ufffd'.repeat(22_000));
    expect(Buffer.byteLength(long)).toBeGreaterThan(65_536);
    expect(verdict(200, {}, long)).toEqual({ kind: 'ack', result: undefined });
  });

  test.each([
    [{ 'plinth-ack': 'later' }, 300_000],
    [{ 'plinth-ack': 'Later', 'plinth-lease-ms': '60000' }, 60_000],
    [{ 'plinth-ack': 'later', 'plinth-lease-ms': '1' }, 1_000],
    [{ 'plinth-ack': 'later', 'plinth-lease-ms': '999999999' }, 3_600_000],
    [{ 'plinth-ack': 'later', 'plinth-lease-ms': 'soon' }, 300_000],
  ])('202 with %j leaves the job to the target for %d ms', (headers, leaseMs) => {
    expect(verdict(202, headers as unknown as Record<string, string>)).toEqual({ kind: 'later', leaseMs });
  });

  test('200 with Plinth-Ack: later is an ack: only 202 leaves the job', () => {
    expect(verdict(200, { 'plinth-ack': 'later' })).toMatchObject({ kind: 'ack' });
  });

  test('410 says that the target is gone', () => {
    expect(verdict(410)).toEqual({ kind: 'gone', reason: 'the target answered 410 Gone' });
  });

  test.each([
    [489, {}],
    [500, { 'plinth-no-retry': 'true' }],
    [400, { 'plinth-no-retry': 'TRUE' }],
  ])('%d with %j is the end of the job', (status, headers) => {
    expect(verdict(status, headers as Record<string, string>)).toMatchObject({ kind: 'fail', isFinal: true });
  });

  test.each([
    // status, Retry-After, retryAfterMs, throttle
    [429, '7', 7_000, { forMs: 7_000 }],
    [503, '0', 0, { forMs: 0 }],
    [503, 'Tue, 01 Jan 2030 12:00:30 GMT', 30_000, { forMs: 30_000 }],
    [429, undefined, undefined, 'growing'],
    [503, undefined, undefined, 'growing'],
    [502, undefined, undefined, 'growing'],
    [504, '7', undefined, 'growing'],
    [500, '7', undefined, undefined],
    [500, undefined, undefined, undefined],
    [501, undefined, undefined, undefined],
    [505, undefined, undefined, undefined],
    [400, undefined, undefined, undefined],
    [404, undefined, undefined, undefined],
  ])(
    '%d with Retry-After %j is tried again after %j, and the target is throttled: %j',
    (status, header, retryAfterMs, throttle) => {
      const headers: Record<string, string> = header === undefined ? {} : { 'retry-after': header };
      expect(verdict(status, headers)).toMatchObject({ kind: 'fail', isFinal: false, retryAfterMs, throttle });
    },
  );

  test('of a failure is quoted, but not at length', () => {
    const told = verdict(500, {}, `no\n${'x'.repeat(1_000)}`);
    if (told.kind !== 'fail') throw new Error(told.kind);
    expect(told.error.type).toBe('http_500');
    expect(told.error.message).toMatch(/^the target answered 500: no\nx{297}$/);
  });

  test('that leads elsewhere is a failure', () => {
    const told = verdict(307, { location: 'http://169.254.169.254/' });
    expect(told).toMatchObject({
      kind: 'fail',
      error: { message: 'the target answered 307; redirects are not followed' },
    });
  });
});

test.each([
  ['connection', 'connection', 'growing'],
  ['forbidden', 'forbidden_address', 'growing'],
  ['timeout', 'timeout', undefined],
] as const)('without an answer (%s) the job fails by %s, and the target is throttled: %j', (kind, type, throttle) => {
  const told = verdictOfFailure(new WebhookFailure(kind, 'words'));
  expect(told).toMatchObject({ kind: 'fail', isFinal: false, error: { type, message: 'words' }, throttle });
});

test.each([
  ['0', 0],
  [' 120 ', 120_000],
  ['3600', 3_600_000],
  ['3601', 3_600_000],
  ['Tue, 01 Jan 2030 11:59:59 GMT', 0],
  ['Tue, 01 Jan 2030 12:00:01 GMT', 1_000],
  ['Tuesday, 01-Jan-30 12:00:01 GMT', 1_000],
  ['-1', undefined],
  ['1.5', undefined],
  ['2030-01-01', undefined],
  ['Tue, nonsense', undefined],
  ['', undefined],
  [undefined, undefined],
])('Retry-After: %j is %j ms', (header, ms) => {
  expect(retryAfterMsOf(header, NOW_MS)).toBe(ms);
});
