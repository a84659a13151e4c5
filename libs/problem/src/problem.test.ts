import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { nearestName, PROBLEM_KINDS, PROBLEM_TYPE_PREFIX, Problem, type ProblemCode, toProblem } from './problem.ts';

/** The sections of `docs/problems.md` by their headings. */
function documentedKinds(): Map<string, string> {
  const text = readFileSync(new URL('../../../docs/problems.md', import.meta.url), 'utf8');
  const sections = text.split(/^## /m).slice(1);
  return new Map(sections.map((section) => [section.slice(0, section.indexOf('\n')).trim(), section]));
}

const codes = Object.keys(PROBLEM_KINDS) as ProblemCode[];

describe('docs/problems.md', () => {
  const documented = documentedKinds();

  test('has a section for each kind, in the order of the registry, and for nothing else', () => {
    expect([...documented.keys()]).toEqual(codes);
  });

  test.each(codes)('says status, cause, remedy and repetition of %s', (code) => {
    const { status, title, retryable } = PROBLEM_KINDS[code];
    const section = documented.get(code)!;
    expect(section).toContain(`**${status}** ${title}.`);
    for (const part of ['When: ', 'What to do: ', 'Send it again: ']) expect(section).toContain(`\n- ${part}`);
    const words = { no: 'not unchanged', safe: 'yes, it did not happen', unknown: 'only with its `Idempotency-Key`' };
    expect(section).toContain(`Send it again: ${words[retryable]}`);
  });
});

describe('the registry', () => {
  test.each(codes)('%s has a code of lower-case words and a status of an error', (code) => {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(PROBLEM_KINDS[code].status).toBeGreaterThanOrEqual(400);
    expect(PROBLEM_KINDS[code].status).toBeLessThan(600);
  });

  test('what may be repeated is never the caller’s own mistake, but for coming too often', () => {
    for (const code of codes) {
      const { retryable, status } = PROBLEM_KINDS[code];
      if (retryable !== 'no' && status !== 429) expect(status).toBeGreaterThanOrEqual(500);
    }
  });
});

describe('a problem', () => {
  const full = new Problem('value_too_large', 'value is 1,200,000 bytes; the most is 1,048,576', {
    members: { limitBytes: 1_048_576 },
    issues: [{ path: '/operations/3/value', message: 'too large' }],
    retryAfterMs: 1_001,
    headers: { etag: '"7"' },
    cause: new Error('inner'),
  });

  test('is a body by RFC 9457 with its members', () => {
    expect(full.toBody('request-1')).toEqual({
      type: `${PROBLEM_TYPE_PREFIX}value_too_large`,
      title: 'The value is too large',
      status: 413,
      code: 'value_too_large',
      detail: 'value is 1,200,000 bytes; the most is 1,048,576',
      retryable: 'no',
      instance: 'request-1',
      issues: [{ path: '/operations/3/value', message: 'too large' }],
      retryAfterMs: 1_001,
      limitBytes: 1_048_576,
    });
  });

  test('leaves out what it does not have', () => {
    expect(Object.keys(new Problem('not_found', 'x').toBody())).toEqual([
      'type',
      'title',
      'status',
      'code',
      'detail',
      'retryable',
    ]);
    expect(new Problem('not_found', 'x').toHeaders()).toEqual({});
  });

  test.each([
    [1, '1'],
    [1_000, '1'],
    [1_001, '2'],
    [0, '0'],
  ])('tells to wait %d ms in whole seconds, rounded up: %s', (retryAfterMs, header) => {
    expect(new Problem('overloaded', 'x', { retryAfterMs }).toHeaders()).toEqual({ 'retry-after': header });
  });

  test('comes back from its body as it was', () => {
    const back = Problem.fromBody(JSON.parse(JSON.stringify(full.toBody('request-1'))));
    expect(back.toBody()).toEqual(full.toBody());
  });

  test.each([undefined, null, 'text', 7, [], {}, { code: 'constructor' }, { code: 'of_the_future', detail: 'words' }])(
    'from a body that is none it is internal: %j',
    (body) => {
      const problem = Problem.fromBody(body);
      expect(problem.code).toBe('internal');
      expect(problem.message).not.toBe('');
    },
  );

  test('a thrown problem stays itself, anything else becomes internal without its words', () => {
    expect(toProblem(full)).toBe(full);
    const bug = new Error('a secret');
    expect(toProblem(bug)).toMatchObject({ code: 'internal', cause: bug });
    expect(JSON.stringify(toProblem(bug).toBody())).not.toContain('secret');
    expect(toProblem(undefined).code).toBe('internal');
  });
});

describe('the nearest name', () => {
  const known = ['KV_DATA_DIR', 'KV_PORT', 'KV_FLUSH_MS'];

  test.each([
    ['KV_DATADIR', 'KV_DATA_DIR'],
    ['kv_data_dir', 'KV_DATA_DIR'],
    ['KV_PROT', 'KV_PORT'],
    ['KV_FLUSHMS', 'KV_FLUSH_MS'],
    ['KV_SOMETHING_ELSE', undefined],
    ['', undefined],
  ])('of %j is %j', (given, nearest) => {
    expect(nearestName(given, known)).toBe(nearest);
  });

  test('of none is none', () => {
    expect(nearestName('x', [])).toBeUndefined();
  });
});
