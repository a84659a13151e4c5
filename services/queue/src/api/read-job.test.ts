import { describe, expect, test } from '@jest/globals';
import { DEFAULTS, job as jobSchema, LIMITS } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import { seededRandom } from '@plinth/testkit';
import type { NewJob } from '../core/job.ts';
import { JsonSpans } from './json-spans.ts';
import { jsonValue } from './random-json.fixture.ts';
import { dataText, type JobSetting, readJob } from './read-job.ts';

const NOW_MS = Date.parse('2030-01-01T00:00:00Z');
const YEAR_MS = LIMITS.delayMsMax;
const setting: JobSetting = {
  nowMs: NOW_MS,
  defaults: {},
  checkData: undefined,
  urlFault: (url) => (url.includes('//10.') ? 'the address is private' : undefined),
  traceparent: undefined,
  tracestate: undefined,
};

function read(job: Record<string, unknown>, with_: Partial<JobSetting> = {}): NewJob {
  const text = JSON.stringify(job);
  const members = JSON.parse(text) as Record<string, unknown>;
  return readJob(members, dataText(new JsonSpans(text), 0, ''), '', { ...setting, ...with_ });
}

function faultOf(job: Record<string, unknown>): { code: string; path: string | undefined; message: string } {
  try {
    read(job);
  } catch (error) {
    if (error instanceof Problem) return { code: error.code, path: error.issues[0]?.path, message: error.message };
    throw error;
  }
  throw new Error(`${JSON.stringify(job).slice(0, 200)} was taken`);
}

describe('a job', () => {
  test('of a name alone has all defaults of the house', () => {
    expect(read({ name: 'mail' })).toEqual({
      name: 'mail',
      data: 'null',
      runAtMs: 0,
      priority: 0,
      attempts: 5,
      backoff: { type: 'exponential', delayMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: 1 },
      timeoutMs: 0,
      expiresAtMs: 0,
      dedup: undefined,
      group: '',
      tags: [],
      retain: { count: 1_000, ageMs: 3_600_000 },
      callbackUrl: undefined,
      failureCallbackUrl: undefined,
      resultTo: undefined,
      traceparent: undefined,
      tracestate: undefined,
    });
  });

  test('has what its queue says where it says nothing, and member by member of a backoff', () => {
    const defaults = {
      attempts: 2,
      backoff: { ...DEFAULTS.backoff, factor: 3 },
      timeoutMs: 9,
      ttlMs: 100,
      retain: { count: 1, ageMs: 1 },
    };
    const job = read({ name: 'mail', delayMs: 5, backoff: { delayMs: 7 }, retain: { count: 4 } }, { defaults });
    expect(job).toMatchObject({ attempts: 2, timeoutMs: 9, runAtMs: NOW_MS + 5, expiresAtMs: NOW_MS + 105 });
    expect(job.backoff).toEqual({ ...DEFAULTS.backoff, factor: 3, delayMs: 7 });
    expect(job.retain).toEqual({ count: 4, ageMs: 1 });
    expect(read({ name: 'mail', ttlMs: 0 }, { defaults }).expiresAtMs).toBe(0);
  });

  test('keeps its data as it was written', () => {
    const text = '{"name":"n","data": {"big":9007199254740993, "e":1.50} }';
    const data = dataText(new JsonSpans(text), 0, '');
    expect(readJob(JSON.parse(text), data, '', setting).data).toBe('{"big":9007199254740993, "e":1.50}');
  });
});

describe('both sides of each edge', () => {
  const long = (length: number) => 'x'.repeat(length);
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  test.each([
    ['name', { name: long(128) }, { name: long(129) }],
    ['delayMs', { delayMs: YEAR_MS }, { delayMs: YEAR_MS + 1 }],
    ['delayMs', { delayMs: 0 }, { delayMs: -1 }],
    ['runAt', { runAt: NOW_MS + YEAR_MS }, { runAt: NOW_MS + YEAR_MS + 1 }],
    ['runAt', { runAt: '2030-06-01T12:00:00+02:00' }, { runAt: '2030-06-01T12:00:00' }],
    ['runAt', { runAt: NOW_MS }, { runAt: NOW_MS, delayMs: 1 }],
    ['priority', { priority: 2_097_151 }, { priority: 2_097_152 }],
    ['attempts', { attempts: 1 }, { attempts: 0 }],
    ['timeoutMs', { timeoutMs: LIMITS.timeoutMsMax }, { timeoutMs: LIMITS.timeoutMsMax + 1 }],
    ['ttlMs', { ttlMs: YEAR_MS }, { ttlMs: YEAR_MS + 1 }],
    ['backoff/factor', { backoff: { factor: 1 } }, { backoff: { factor: 0.99 } }],
    ['backoff/jitter', { backoff: { jitter: 1 } }, { backoff: { jitter: 1.01 } }],
    ['backoff/type', { backoff: { type: 'fixed' } }, { backoff: { type: 'linear' } }],
    ['dedup/id', { dedup: { id: long(512) } }, { dedup: { id: long(513) } }],
    ['dedup/id', { dedup: { id: 'a b' } }, { dedup: { id: 'a\u0001b' } }],
    ['dedup/ttlMs', { dedup: { id: 'a', mode: 'throttle', ttlMs: 1 } }, { dedup: { id: 'a', mode: 'throttle' } }],
    ['group', { group: long(256) }, { group: long(257) }],
    ['tags', { tags: Array(16).fill('t') }, { tags: Array(17).fill('t') }],
    ['tags/1', { tags: ['a', long(64)] }, { tags: ['a', ''] }],
    ['retain/count', { retain: { count: 0 } }, { retain: { count: 1.5 } }],
    ['callbackUrl', { callbackUrl: 'https://example.com/a' }, { callbackUrl: 'ftp://example.com' }],
    ['callbackUrl', { callbackUrl: 'http://example.com' }, { callbackUrl: 'http://10.0.0.1/' }],
    ['resultTo', { resultTo: 'kv://b/a/key' }, { resultTo: 'kv://b' }],
    ['data', { data: nested(64) }, { data: nested(65) }],
  ])('of %s', (path, right, wrong) => {
    expect(read({ name: 'n', ...right })).toBeDefined();
    const found = faultOf({ name: 'n', ...wrong });
    expect(found).toMatchObject({ code: 'invalid_request', path: `/${path}` });
  });

  test('of the data’s size, counted in bytes of UTF-8', () => {
    const { dataBytesMax } = LIMITS;
    expect(read({ name: 'n', data: 'x'.repeat(dataBytesMax - 2) }).data.length).toBe(dataBytesMax);
    expect(faultOf({ name: 'n', data: 'x'.repeat(dataBytesMax - 1) })).toMatchObject({
      code: 'payload_too_large',
      path: '/data',
      message: 'the data of a job is 262,145 bytes; the most is 262,144',
    });
    expect(faultOf({ name: 'n', data: 'ä'.repeat(dataBytesMax / 2) }).code).toBe('payload_too_large');
  });

  test('a time that has passed is now', () => {
    expect(read({ name: 'n', runAt: '2029-12-31T23:59:59Z' }).runAtMs).toBe(0);
    expect(read({ name: 'n', runAt: '2030-01-01T00:00:01Z' }).runAtMs).toBe(NOW_MS + 1_000);
  });
});

test('an unknown option is named, with the one that may be meant', () => {
  expect(faultOf({ name: 'n', delayMS: 5 })).toEqual({
    code: 'invalid_request',
    path: '/delayMS',
    message: 'the body at /delayMS: "delayMS" is not known here; is delayMs meant?',
  });
  expect(faultOf({ name: 'n', backoff: { 'a/b~': 1 } }).path).toBe('/backoff/a~1b~0');
});

// What the schema cannot say, and the reader sees to besides.
const BEYOND_SCHEMA = /year|takes a time with a zone|give one of the two|needs to know for how long|is private/;
const random = seededRandom();
const { seed } = random;

test(`takes what the schema of the contract takes, and nothing else (seed ${seed})`, () => {
  let taken = 0;
  for (let round = 0; round < 20_000; round++) {
    const job = randomJob();
    const isLegal = jobSchema.safeParse(job).success;
    const fault = reasonOf(job);
    if (isLegal && fault !== undefined && BEYOND_SCHEMA.test(fault)) continue;
    if (isLegal !== (fault === undefined))
      throw new Error(`${JSON.stringify(job)}: schema ${isLegal}, reader ${fault}`);
    if (isLegal) taken++;
  }
  expect(taken).toBeGreaterThan(2_000);
});

function reasonOf(job: Record<string, unknown>): string | undefined {
  try {
    read(job);
    return undefined;
  } catch (error) {
    if (error instanceof Problem) return error.message;
    throw error;
  }
}

const MAYBE: Record<string, readonly unknown[]> = {
  name: ['n', 'a.b:c/d', '', 'with blank', 7],
  data: [null, {}, [1], 'text'],
  delayMs: [0, 5, -1, 1.5, '5', 1e300],
  runAt: [5, NOW_MS + 1, '2031-01-01T00:00:00Z', 'soon', true],
  priority: [0, 9, -1, 2_097_152],
  attempts: [1, 1_000, 0, 1_001],
  backoff: [{}, { type: 'fixed', delayMs: 1 }, { factor: 101 }, { maxMs: -1 }, [], { x: 1 }, null],
  timeoutMs: [0, 1, null],
  ttlMs: [0, 1, -5],
  dedup: [{ id: 'a' }, { id: 'a', mode: 'debounce', ttlMs: 5 }, { id: '' }, { id: 'a', mode: 'x' }, { ttlMs: 5 }],
  group: ['', 'tenant ü', 'a\nb', 5],
  tags: [[], ['a', 'b'], [''], 'a', [5]],
  retain: [{}, { count: 0, ageMs: 0 }, { count: -1 }, 5],
  callbackUrl: ['https://e.com', 'e.com', 'http://', 5],
  failureCallbackUrl: ['http://e.com/x?y', ''],
  resultTo: ['kv://bucket/key', 'kv:/x', 5],
  nonsense: [1],
};

function randomJob(): Record<string, unknown> {
  const job: Record<string, unknown> = { name: 'n' };
  const names = Object.keys(MAYBE);
  for (let many = random.int(4); many > 0; many--) {
    const name = random.pick(names);
    job[name] = random() < 0.1 ? jsonValue(random, 2) : random.pick(MAYBE[name]!);
  }
  return job;
}
