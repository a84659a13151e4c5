/** The items of batches and transactions, in the words of the single calls, and what they came to. */
import type * as kv from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import { base64Of, type Key, keyMembers } from '../byte-string.ts';
import { type Entry, entryOfJson } from './entry.ts';
import { type Conditions, conditionMembers, type Description, type Life, lifeMembers } from './write-headers.ts';

/** What a schema takes, before its defaults. */
type InputOf<Schema extends { _zod: { input: unknown } }> = Schema['_zod']['input'];
type AnyOperation = InputOf<typeof kv.anyOperation>;

export interface Range {
  prefix?: string;
  /** First key, inclusive. */
  start?: string;
  /** Bound, exclusive. */
  end?: string;
}

/** A whole number to add, and the bounds it must keep. */
export interface Increment {
  /** 1 unless told; may be negative. */
  by?: number;
  /** What a missing key counts as; 0 unless told. */
  initial?: number;
  /** Beyond these: Problem `out_of_bounds`, and nothing is changed. */
  min?: number;
  max?: number;
}

type OnKey<Op extends string> = { op: Op; key: Key } & Conditions;

/** One operation of a batch or transaction; options as in the single call of its name. */
export type Operation =
  | (OnKey<'put'> & Life & Description & ({ value: string | Uint8Array } | { json: unknown }))
  | OnKey<'delete'>
  | { op: 'get'; key: Key }
  | (OnKey<'touch'> & Life)
  | (OnKey<'incr'> & Increment & Life)
  | (OnKey<'patch'> & Life & { patch: unknown })
  | ({ op: 'deleteRange' } & Range);

/** What must hold for `then` to run: one member beside the key, compared by `op`, `=` unless told. Missing keys count as 0. */
export type Check = { key: Key; op?: '=' | '!=' | '<' | '<=' | '>' | '>=' } & (
  | { exists: boolean }
  | { revision: number }
  | { createRevision: number }
  | { version: number }
  | { value: string | Uint8Array }
);

/** What one operation came to. */
export interface OperationResult {
  /** As over HTTP: 200, 201, 204; of a batch also 404, 412, … with `problem`. */
  status: number;
  revision?: number;
  /** Of `get`: with its value. Of writes: without. */
  entry?: Entry;
  /** How many keys were deleted. */
  deleted?: number;
  /** The number after `incr`. */
  value?: number;
  /** Why this item of a batch was refused; the others were not. */
  problem?: Problem;
}

export function operationJson(operation: Operation): AnyOperation {
  const { key, value, ifRevision, ifAbsent, ifExists, ttlMs, ttl, expiresAt, ...rest } = operation as PutLike;
  return {
    ...rest,
    ...(key === undefined ? {} : keyMembers(key)),
    ...(value === undefined ? {} : valueMembers(value)),
    ...conditionMembers({ ifRevision, ifAbsent, ifExists }),
    ...lifeMembers({ ttlMs, ttl, expiresAt }),
  } as AnyOperation;
}

/** An operation with every member that any of them has. */
type PutLike = { op: 'put'; key?: Key; value?: string | Uint8Array } & Conditions & Life;

export function checkJson({ key, ...rest }: Check): InputOf<typeof kv.check> {
  if (!('value' in rest)) return { ...keyMembers(key), ...rest };
  return { ...keyMembers(key), op: rest.op, ...valueMembers(rest.value) };
}

export function resultOfJson({ entry, problem, ...rest }: kv.OperationResult): OperationResult {
  return {
    ...rest,
    ...(entry === undefined ? {} : { entry: entryOfJson(entry) }),
    ...(problem === undefined ? {} : { problem: Problem.fromBody(problem) }),
  };
}

function valueMembers(value: string | Uint8Array): { value: string } | { valueBase64: string } {
  return typeof value === 'string' ? { value } : { valueBase64: base64Of(value) };
}
