/** Query strings: strict, so that a mistyped parameter is an answer and not a surprise. */
import { type Issue, nearestName, type Problem } from '@plinth/problem';
import type { z } from 'zod';
import { problemOfIssues, toIssues } from './input-issues.ts';

/** Reads query strings by one schema. */
export class QueryReader {
  readonly #schema: z.ZodObject;
  /** What no query at all is read as; undefined when the schema wants a parameter. Shared, hence frozen. */
  readonly #empty: Record<string, unknown> | undefined;

  constructor(schema: z.ZodObject) {
    this.#schema = schema;
    const empty = schema.safeParse({});
    this.#empty = empty.success ? Object.freeze(empty.data) : undefined;
  }

  /**
   * @param search - What follows the `?`, as it came; empty when there was none.
   * @throws Problem `invalid_request` with an issue per fault: `/query/limit`.
   */
  read(search: string): Record<string, unknown> {
    if (search === '' && this.#empty !== undefined) return this.#empty;
    const parsed = this.#schema.safeParse(takeApart(search));
    if (parsed.success) return parsed.data;
    throw problemOfIssues(
      'the query',
      parsed.error.issues.flatMap((issue) => this.#explain(issue)),
    );
  }

  #explain(issue: z.core.$ZodIssue): Issue[] {
    if (issue.code !== 'unrecognized_keys') return toIssues('/query', [issue]);
    return issue.keys.map((key) => ({ path: `/query/${key}`, message: this.#explainUnknown(key) }));
  }

  #explainUnknown(name: string): string {
    const known = Object.keys(this.#schema.shape);
    const nearest = nearestName(name, known);
    if (nearest) return `is no parameter here; did you mean ${nearest}?`;
    return known.length === 0 ? 'no parameters are known here' : `is no parameter here; known are ${known.join(', ')}`;
  }
}

function takeApart(search: string): Record<string, string> {
  // Without a prototype: `__proto__` is a name like any other, and refused like any other.
  const values: Record<string, string> = Object.create(null);
  for (const pair of search.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decodeText(equals < 0 ? pair : pair.slice(0, equals));
    if (name in values) throw fault(name, 'is given more than once');
    values[name] = equals < 0 ? '' : decodeText(pair.slice(equals + 1), name);
  }
  return values;
}

/** `+` is a space here, as forms write it. */
function decodeText(raw: string, name = raw): string {
  if (!/[%+]/.test(raw)) return raw;
  try {
    return decodeURIComponent(raw.replaceAll('+', ' '));
  } catch {
    throw fault(name, 'is not UTF-8, percent-encoded');
  }
}

function fault(name: string, message: string): Problem {
  return problemOfIssues('the query', [{ path: `/query/${name}`, message }]);
}
