import { describe, expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { DataSchemas } from './data-schema.ts';

const schemas = new DataSchemas();

function problemOf(work: () => unknown): Problem {
  try {
    work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('the schema of a queue', () => {
  const check = schemas.checkOf({
    type: 'object',
    required: ['to'],
    properties: { to: { type: 'string', minLength: 1 }, count: { type: 'integer' } },
    additionalProperties: false,
  });

  test('lets data through that meets it', () => {
    expect(() => check({ to: 'ann', count: 3 }, '/data')).not.toThrow();
  });

  test('names every fault of data that does not, with its place in the body', () => {
    const problem = problemOf(() => check({ to: '', count: 0.5, cc: 1 }, '/3/data'));
    expect(problem.code).toBe('schema_mismatch');
    expect(problem.issues.map(({ path, message }) => `${path} ${message}`)).toEqual([
      '/3/data must NOT have additional properties: "cc"',
      '/3/data/to must NOT have fewer than 1 characters',
      '/3/data/count must be integer',
    ]);
    expect(problemOf(() => check(null, '/data')).issues).toHaveLength(1);
  });

  test('is compiled once, also when it was read again', () => {
    const one = schemas.checkOf({ type: 'array' });
    expect(schemas.checkOf({ type: 'array' })).toBe(one);
    expect(schemas.checkOf(true)).toBe(schemas.checkOf(true));
    expect(() => schemas.checkOf(false)(1, '')).toThrow('boolean schema is false');
  });

  test('may have the $id of another', () => {
    const first = schemas.checkOf({ $id: 'a', type: 'string' });
    const second = schemas.checkOf({ $id: 'a', type: 'number' });
    expect(() => first('x', '')).not.toThrow();
    expect(() => second('x', '')).toThrow('must be number');
  });
});

test.each([
  ['an unknown type', { type: 'text' }],
  ['a limit that is none', { minLength: -1 }],
  ['a reference to elsewhere', { $ref: 'https://example.com/schema.json' }],
  ['a draft that is not known', { $schema: 'https://json-schema.org/draft/2030-01/schema' }],
  ['what is no schema', 7],
  ['a check that takes its time', { $async: true, type: 'string' }],
  ['a pattern that is none', { pattern: '(' }],
  ['too many words', { description: 'x'.repeat(70_000) }],
  ['an abyss', JSON.parse(`${'{"not":'.repeat(20_000)}{}${'}'.repeat(20_000)}`)],
])('%s is refused before anything is kept', (_, schema) => {
  expect(problemOf(() => schemas.checkOf(schema)).code).toBe('invalid_schema');
});
