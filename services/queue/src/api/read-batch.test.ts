import { describe, expect, test } from '@jest/globals';
import { LIMITS } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { NewJob } from '../core/job.ts';
import { type Batch, readBatch, readFlow } from './read-batch.ts';
import type { JobSetting } from './read-job.ts';

const NOW_MS = Date.parse('2030-01-01T00:00:00Z');
const DAY_MS = 86_400_000;
const setting: JobSetting = {
  nowMs: NOW_MS,
  defaults: {},
  checkData: undefined,
  urlFault: () => undefined,
  traceparent: undefined,
  tracestate: undefined,
};

const callOf = (headers: Record<string, string> = {}) => ({
  header: (name: string) => headers[name],
  headersWith: (prefix: string) =>
    Object.entries(headers)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value] as const),
});
const bodyOf = (text: string) => ({ text, value: JSON.parse(text) as unknown });
const read = (text: string, headers?: Record<string, string>): Batch =>
  readBatch(callOf(headers), bodyOf(text), setting);
const jobs = ({ items }: Batch): NewJob[] => items.flatMap((item) => (item instanceof Problem ? [] : [item]));
const single = (batch: Batch): NewJob => jobs(batch)[0]!;

function problemOf(work: () => unknown): Problem {
  try {
    work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('an array', () => {
  test('with bad items keeps the good ones, each with its own data', () => {
    const deep = `${'['.repeat(65)}${']'.repeat(65)}`;
    const huge = JSON.stringify('x'.repeat(LIMITS.dataBytesMax));
    const { isArray, items } = read(`[
      {"name":"a","data":1}, 7, {"name":"b","data":${deep}}, {"data":2, "name":"c"}, [{"name":"no"}],
      {"name":"d","data":${huge}}, {"name":"e"}, null, {"nome":"f","data":3}, {"name":"g","data":{"x":[4]}}
    ]`);
    expect(isArray).toBe(true);
    const shown = items.map((item) =>
      item instanceof Problem ? `${item.code} ${item.issues[0]?.path}` : `${item.name} ${item.data}`,
    );
    expect(shown).toEqual([
      'a 1',
      'invalid_request /1',
      'invalid_request /2/data',
      'c 2',
      'invalid_request /4',
      'payload_too_large /5/data',
      'e null',
      'invalid_request /7',
      'invalid_request /8/nome',
      'g {"x":[4]}',
    ]);
  });

  test('of none or of more than 1,000 is refused as a whole', () => {
    const list = (length: number) => JSON.stringify(Array(length).fill({ name: 'n' }));
    expect(problemOf(() => read('[]')).message).toContain('at least one');
    expect(read(list(1_000)).items).toHaveLength(1_000);
    expect(problemOf(() => read(list(1_001))).message).toContain('1,001 jobs; the most is 1,000');
  });
});

test('a single job that is none is the answer', () => {
  for (const text of ['7', 'null', '"x"', '{}', '{"name":"n","dat":1}']) {
    expect(problemOf(() => read(text)).code).toBe('invalid_request');
  }
});

describe('CloudEvents', () => {
  const event = {
    specversion: '1.0',
    type: 'com.example.order.paid',
    source: '/shop',
    id: 'A-1',
    time: '2029-12-31T00:00:00Z',
    partitionkey: 'tenant-7',
    expirytime: '2030-01-01T01:00:00Z',
    datacontenttype: 'application/json',
    subject: 'anything',
    traceparent: '00-11111111111111111111111111111111-2222222222222222-01',
    data: { order: 5 },
  };
  const structured = { 'content-type': 'application/cloudevents+json; charset=utf-8' };

  test('a structured one is a job of its type', () => {
    const job = single(read(JSON.stringify(event), structured));
    expect(job).toMatchObject({
      name: 'com.example.order.paid',
      data: '{"order":5}',
      group: 'tenant-7',
      runAtMs: 0,
      expiresAtMs: NOW_MS + 3_600_000,
      traceparent: event.traceparent,
      dedup: { mode: 'throttle', ttlMs: DAY_MS },
    });
  });

  test('one that comes twice has one dedup id, another id or source another', () => {
    const idOf = (change: object) => single(read(JSON.stringify({ ...event, ...change }), structured)).dedup!.id;
    expect(idOf({})).toBe(idOf({ time: 'other' }));
    const ids = [{}, { id: 'A-2' }, { source: '/other' }, { source: '/shopA', id: '-1' }, { id: 'x'.repeat(600) }];
    expect(new Set(ids.map(idOf)).size).toBe(ids.length);
    for (const change of ids) expect(idOf(change).length).toBeLessThanOrEqual(LIMITS.dedupIdCharsMax);
  });

  test('a batch is an array, each by itself', () => {
    const headers = { 'content-type': 'application/cloudevents-batch+json' };
    const { items } = read(JSON.stringify([event, { ...event, specversion: '0.3' }, { ...event, type: '' }]), headers);
    expect(items.map((item) => (item instanceof Problem ? item.issues[0]?.path : item.name))).toEqual([
      event.type,
      '/1/specversion',
      '/2/type',
    ]);
    expect(problemOf(() => read(JSON.stringify(event), headers)).message).toContain('a batch of events is a list');
    expect(problemOf(() => read('[]', structured)).message).toContain('cloudevents-batch+json');
  });

  test('a binary one has its attributes in headers, and the body is its data', () => {
    const headers = {
      'ce-specversion': '1.0',
      'ce-type': 'paid',
      'ce-source': '/shop%20a',
      'ce-id': '1',
      'ce-partitionkey': '%E6%BC%A2',
    };
    expect(single(read(' [1, 2] ', headers))).toMatchObject({ name: 'paid', data: '[1, 2]', group: '漢' });
    const { 'ce-id': _, ...without } = headers;
    expect(problemOf(() => read('1', without)).issues[0]?.path).toBe('/headers/ce-id');
    expect(problemOf(() => read('1', { ...headers, 'ce-id': '%' })).issues[0]?.path).toBe('/headers/ce-id');
  });

  test.each([
    ['expirytime', '2029-12-31T23:59:59Z'],
    ['expirytime', '2032-01-01T00:00:00Z'],
    ['expirytime', 'later'],
    ['data_base64', 'aGk='],
    ['source', ''],
    ['id', undefined],
    ['partitionkey', 'x'.repeat(257)],
  ])('with %s %s is refused at its place', (name, value) => {
    const problem = problemOf(() => read(JSON.stringify({ ...event, [name]: value }), structured));
    expect(problem.issues[0]?.path).toBe(`/${name}`);
  });

  test('of a traced call carries the trace of the call', () => {
    const traced = { ...setting, traceparent: 'of-the-call' };
    const batch = readBatch(callOf(structured), bodyOf(JSON.stringify(event)), traced);
    expect(single(batch).traceparent).toBe('of-the-call');
  });
});

describe('a flow', () => {
  const flow = (text: string) => readFlow(bodyOf(text), setting);

  test('is a tree, each job with its own data', () => {
    const root = flow(`{"children":[{"name":"a","data":[1],"children":[{"name":"b","data":{"children":[]}}]},
      {"data":"c","onFailure":"ignore","name":"c"}],"data":0,"name":"root"}`);
    expect([root.job.name, root.job.data]).toEqual(['root', '0']);
    expect(root.children.map(({ job, onFailure }) => [job.name, job.data, onFailure])).toEqual([
      ['a', '[1]', 'fail-parent'],
      ['c', '"c"', 'ignore'],
    ]);
    expect(root.children[0]!.children[0]!.job.data).toBe('{"children":[]}');
  });

  test('of more than 1,000 jobs or 16 levels is refused', () => {
    const wide = (children: number) => JSON.stringify({ name: 'r', children: Array(children).fill({ name: 'c' }) });
    expect(flow(wide(999)).children).toHaveLength(999);
    expect(problemOf(() => flow(wide(1_000))).message).toContain('more than 1,000 jobs');
    const deep = (levels: number): object =>
      levels === 1 ? { name: 'x' } : { name: 'x', children: [deep(levels - 1)] };
    expect(flow(JSON.stringify(deep(16)))).toBeDefined();
    expect(problemOf(() => flow(JSON.stringify(deep(17)))).message).toContain('more than 16 jobs deep');
  });

  test.each([
    ['{"name":"r","onFailure":"ignore"}', '/onFailure'],
    ['{"name":"r","children":[{"name":"c","onFailure":"x"}]}', '/children/0/onFailure'],
    ['{"name":"r","children":[{"name":"c"},{"nam":"d"}]}', '/children/1/nam'],
    ['{"name":"r","children":{}}', '/children'],
    ['{"name":"r","children":[7]}', '/children/0'],
  ])('%s is refused at %s', (text, path) => {
    expect(problemOf(() => flow(text)).issues[0]?.path).toBe(path);
  });
});
