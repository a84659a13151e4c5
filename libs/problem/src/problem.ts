/**
 * What went wrong, in words a caller can act on. A `Problem` is thrown anywhere, and turned into an answer in one
 * place: `application/problem+json` (RFC 9457) over HTTP, the same body over the bus.
 */
import { PROBLEM_KINDS, type ProblemCode, type ProblemKind } from './kinds.ts';

export { PROBLEM_KINDS, type ProblemCode, type ProblemKind } from './kinds.ts';

/** The kind as a URI; `docs/problems.md` explains each. A name, not an address: no site has to stay up for it. */
export const PROBLEM_TYPE_PREFIX = 'urn:plinth:problem:';
export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** One fault in the input: `path` is a JSON Pointer (RFC 6901) into the body, or `/query/limit`, `/headers/kv-ttl`. */
export interface Issue {
  path: string;
  message: string;
  /** In a document that people write, from 1. */
  line?: number;
  column?: number;
}

/** Members beside those of the RFC, in camelCase with their unit last: `{ limitBytes: 1048576 }`. */
export type ProblemMembers = Record<string, string | number | boolean | null | readonly string[]>;

export interface ProblemOptions {
  issues?: readonly Issue[];
  members?: ProblemMembers;
  /** When to try again, in milliseconds: becomes `Retry-After` (whole seconds, rounded up) and `retryAfterMs`. */
  retryAfterMs?: number;
  /** Further response headers, lower case: `{ etag: '"7"' }` on a failed precondition. */
  headers?: Record<string, string>;
  cause?: unknown;
}

/** The body of an answer that carries a problem. */
export interface ProblemBody extends Record<string, unknown> {
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  detail: string;
  retryable: ProblemKind['retryable'];
}

export class Problem extends Error {
  override name = 'Problem';
  readonly code: ProblemCode;
  readonly issues: readonly Issue[];
  readonly members: ProblemMembers;
  readonly retryAfterMs: number | undefined;
  readonly headers: Record<string, string>;

  /** @param detail - Names the thing and the limit: "value is 1,200,000 bytes; the most is 1,048,576". No secrets. */
  constructor(code: ProblemCode, detail: string, options: ProblemOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.issues = options.issues ?? [];
    this.members = options.members ?? {};
    this.retryAfterMs = options.retryAfterMs;
    this.headers = options.headers ?? {};
  }

  get kind(): ProblemKind {
    return PROBLEM_KINDS[this.code];
  }

  get status(): number {
    return this.kind.status;
  }

  /** The RFC 9457 body. `instance` is the id of the request. */
  toBody(instance?: string): ProblemBody {
    return {
      type: PROBLEM_TYPE_PREFIX + this.code,
      title: this.kind.title,
      status: this.status,
      code: this.code,
      detail: this.message,
      retryable: this.kind.retryable,
      ...(instance === undefined ? {} : { instance }),
      ...(this.issues.length > 0 ? { issues: this.issues } : {}),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      ...this.members,
    };
  }

  /** Response headers besides the content type. */
  toHeaders(): Record<string, string> {
    if (this.retryAfterMs === undefined) return this.headers;
    return { ...this.headers, 'retry-after': String(Math.ceil(this.retryAfterMs / 1_000)) };
  }

  /** A problem from a body received from another service. Unknown codes become `internal` and keep their words. */
  static fromBody(body: unknown): Problem {
    const { code, detail, title, status, issues, retryAfterMs, type, retryable, instance, ...members } =
      typeof body === 'object' && body !== null ? (body as Partial<ProblemBody>) : {};
    const known = typeof code === 'string' && Object.hasOwn(PROBLEM_KINDS, code);
    return new Problem(known ? code : 'internal', String(detail ?? title ?? 'an answer that is no problem body'), {
      issues: Array.isArray(issues) ? (issues as Issue[]) : [],
      members: members as ProblemMembers,
      ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    });
  }
}

/**
 * The one place where something thrown becomes an answer. A `Problem` stays itself; anything else is a bug: the caller
 * is told so without its words, which belong in the log.
 */
export function toProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem('internal', 'the service met a bug; its log has the details', { cause: thrown });
}

/** `1048576` as `1,048,576`, for people. Not by `Intl`, whose tables cost a process 7 MB with the first number. */
export function grouped(whole: number): string {
  return String(whole).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** The name in `known` nearest to `given` by edits, if it is near enough to be what was meant. */
export function nearestName(given: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(given.length / 3)) + 1;
  for (const name of known) {
    const distance = editDistance(given.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function editDistance(source: string, target: string): number {
  let row = Array.from({ length: target.length + 1 }, (_, column) => column);
  for (let i = 1; i <= source.length; i++) {
    const next = [i];
    for (let j = 1; j <= target.length; j++) {
      const replaced = row[j - 1]! + (source[i - 1] === target[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[target.length]!;
}
