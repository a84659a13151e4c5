/** What each operation does to a draft, or why it refuses. */
import type { BucketSettings } from '@plinth/contracts/kv';
import { grouped, Problem } from '@plinth/problem';
import type { ByteString } from '../store/store.ts';
import type { Check, Condition, IncrOperation, Life, Operation, OperationResult, PutOperation } from './command.ts';
import type { Content, Draft } from './draft.ts';
import { isTooDeep, JSON_DEPTH_MAX, mergePatch } from './merge-patch.ts';

export interface Rules {
  draft: Draft;
  settings: BucketSettings;
}

/** The entry of a write is filled in when the draft is committed: only then is its revision known. */
export type Verdict = OperationResult | Problem;

export function evaluate(operation: Operation, rules: Rules): Verdict {
  if ('if' in operation && operation.if !== undefined) {
    const refused = refuse(operation.key, operation.if, rules.draft);
    if (refused !== undefined) return refused;
  }
  switch (operation.op) {
    case 'put':
      return put(operation, rules);
    case 'delete':
      return { status: 204, deleted: rules.draft.delete(operation.key) ? 1 : 0 };
    case 'get':
      return { status: rules.draft.exists(operation.key) ? 200 : 404 };
    case 'touch':
      return touch(operation.key, operation.life, rules);
    case 'incr':
      return incr(operation, rules);
    case 'patch':
      return patch(operation.key, operation.patch, operation.life, rules);
    case 'deleteRange':
      return deleteRange(operation.start, operation.end, rules);
  }
}

function put({ key, value, contentType, metadata, life }: PutOperation, { draft, settings }: Rules): Verdict {
  if (value.length > settings.valueBytesMax) return valueTooLarge(value.length, settings.valueBytesMax);
  const status = draft.exists(key) ? 204 : 201;
  const bucketLife = settings.ttlMs === undefined ? undefined : { ttlMs: settings.ttlMs };
  draft.put(
    key,
    { value, contentType: contentType ?? '', metadata: metadata ?? '' },
    endOf(life ?? bucketLife, draft.timeMs),
  );
  return { status };
}

function touch(key: ByteString, life: Life | undefined, { draft }: Rules): Verdict {
  const content = draft.content(key);
  if (content === undefined) return keyNotFound(key);
  // The bytes belong to the store and other changes of this command may come first: copied.
  draft.put(key, { ...content, value: Buffer.from(content.value) }, endOf(life, draft.timeMs));
  return { status: 204 };
}

function incr(operation: IncrOperation, { draft, settings }: Rules): Verdict {
  const { key, by, initial, min, max, life } = operation;
  const before = draft.content(key);
  const from = before === undefined ? initial : wholeNumber(before.value);
  if (from === undefined) return new Problem('unprocessable', 'the value is not a whole number in decimal digits');
  const number = from + by;
  const floor = min ?? Number.MIN_SAFE_INTEGER;
  const ceiling = max ?? Number.MAX_SAFE_INTEGER;
  if (number < floor || number > ceiling) {
    return new Problem('out_of_bounds', `${from} + ${by} = ${number} is not between ${floor} and ${ceiling}`, {
      members: { value: from },
    });
  }
  const value = Buffer.from(String(number), 'latin1');
  if (value.length > settings.valueBytesMax) return valueTooLarge(value.length, settings.valueBytesMax);
  const content = { contentType: 'text/plain', metadata: '', ...before, value };
  draft.put(key, content, keptLife(key, life, before, { draft, settings }));
  return { status: 200, number };
}

function patch(key: ByteString, change: unknown, life: Life | undefined, rules: Rules): Verdict {
  const { draft, settings } = rules;
  const before = draft.content(key);
  const present = before === undefined ? null : parseJson(before.value);
  if (present === undefined) return new Problem('unprocessable', 'the value is not JSON, so it cannot be merged into');
  // In the log a patch that is too deep is none at all.
  if (change === undefined || isTooDeep(change) || isTooDeep(present)) {
    return new Problem('unprocessable', `JSON nested deeper than ${JSON_DEPTH_MAX} levels cannot be merged`);
  }
  const value = Buffer.from(JSON.stringify(mergePatch(present, change)));
  if (value.length > settings.valueBytesMax) return valueTooLarge(value.length, settings.valueBytesMax);
  const content = { contentType: 'application/json', metadata: '', ...before, value };
  draft.put(key, content, keptLife(key, life, before, rules));
  return { status: before === undefined ? 201 : 204 };
}

function deleteRange(start: ByteString, end: ByteString | undefined, { draft }: Rules): Verdict {
  const { keys, more } = draft.keys(start, end);
  for (const key of keys) draft.delete(key);
  return { status: 200, deleted: keys.length, more };
}

/** A given life; else the one it has; else, for a key that is made, the bucket's. */
function keptLife(key: ByteString, life: Life | undefined, before: Content | undefined, rules: Rules): number {
  const { draft, settings } = rules;
  if (life !== undefined) return endOf(life, draft.timeMs);
  if (before !== undefined) return draft.expiresAtMs(key);
  return endOf(settings.ttlMs === undefined ? undefined : { ttlMs: settings.ttlMs }, draft.timeMs);
}

function endOf(life: Life | undefined, timeMs: number): number {
  if (life === undefined) return 0;
  return 'ttlMs' in life ? timeMs + life.ttlMs : life.expiresAtMs;
}

/** RFC 9110 §13: `If-Match` first, then `If-None-Match`. */
function refuse(key: ByteString, { match, noneMatch }: Condition, draft: Draft): Problem | undefined {
  const revision = draft.exists(key) ? (draft.before(key)?.revision ?? -1) : undefined;
  if (match !== undefined && !names(match, revision)) {
    return preconditionFailed(revision, revision === undefined ? 'the key does not exist' : 'the key has changed');
  }
  if (noneMatch !== undefined && names(noneMatch, revision)) {
    return preconditionFailed(revision, 'the key exists');
  }
  return undefined;
}

const names = (revisions: '*' | readonly number[], revision: number | undefined): boolean =>
  revision !== undefined && (revisions === '*' || revisions.includes(revision));

export function preconditionFailed(revision: number | undefined, why: string): Problem {
  if (revision === undefined || revision < 0) return new Problem('precondition_failed', why);
  return new Problem('precondition_failed', `${why}; its revision is ${revision}`, {
    members: { revision },
    headers: { etag: `"${revision}"` },
  });
}

export function holds({ key, target, op, wanted }: Check, draft: Draft): boolean {
  const version = draft.before(key);
  if (target === 'exists') return compare(op, Number(version !== undefined), Number(wanted));
  if (target !== 'value') return compare(op, version?.[target] ?? 0, wanted as number);
  const content = draft.content(key);
  if (content === undefined) return op === '!=';
  return compare(op, Buffer.compare(content.value, wanted as Uint8Array), 0);
}

function compare(op: Check['op'], left: number, right: number): boolean {
  switch (op) {
    case '=':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
  }
}

function wholeNumber(value: Uint8Array): number | undefined {
  if (value.length > 17) return undefined;
  const text = Buffer.from(value).toString('latin1');
  const number = Number(text);
  return /^-?\d+$/.test(text) && Number.isSafeInteger(number) ? number : undefined;
}

function parseJson(value: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value));
  } catch {
    return undefined;
  }
}

export function valueTooLarge(sizeBytes: number, limitBytes: number): Problem {
  const detail = `value is ${grouped(sizeBytes)} bytes; the most is ${grouped(limitBytes)}`;
  return new Problem('value_too_large', detail, { members: { sizeBytes, limitBytes } });
}

export function keyNotFound(key: ByteString): Problem {
  return new Problem('key_not_found', `there is no key ${printable(key)}`);
}

/** A key for human eyes: its text when it is UTF-8, else with the bytes escaped. */
export function printable(key: ByteString): string {
  const bytes = Buffer.from(key, 'latin1');
  const text = bytes.toString('utf8');
  return JSON.stringify(Buffer.from(text).equals(bytes) ? text : key);
}
