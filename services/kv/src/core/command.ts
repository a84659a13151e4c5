/**
 * What can be asked of the state machine, as it stands in the log. Everything a decision needs is inside: time and
 * revision come with the record, so that every replay decides the same.
 */
import type { BucketSettings } from '@plinth/contracts/kv';
import type { Problem } from '@plinth/problem';
import { Packr } from 'msgpackr';
import type { ByteString } from '../store/store.ts';
import { patchFromText, patchToText } from './merge-patch.ts';

/** When an entry ends: after so long, or at that time. */
export type Life = { ttlMs: number } | { expiresAtMs: number };

/** Revisions as in `If-Match` and `If-None-Match`; `*` is any. */
export interface Condition {
  match?: '*' | readonly number[];
  noneMatch?: '*' | readonly number[];
}

interface OnKey {
  key: ByteString;
  if?: Condition | undefined;
}

export type PutOperation = OnKey & {
  op: 'put';
  value: Uint8Array;
  contentType?: string | undefined;
  /** JSON, as a byte string. */
  metadata?: string | undefined;
  /** Omitted: the bucket's, else none. */
  life?: Life | undefined;
};

export type IncrOperation = OnKey & {
  op: 'incr';
  by: number;
  /** Where a missing key starts from, before `by` is added. */
  initial: number;
  min?: number | undefined;
  max?: number | undefined;
  /** Omitted: as before. */
  life?: Life | undefined;
};

export type Operation =
  | PutOperation
  | IncrOperation
  | (OnKey & { op: 'delete' })
  | (OnKey & { op: 'get' })
  /** `life` omitted: kept until deleted. */
  | (OnKey & { op: 'touch'; life?: Life | undefined })
  /** JSON merge patch (RFC 7396). `life` omitted: as before. */
  | (OnKey & { op: 'patch'; patch: unknown; life?: Life | undefined })
  | { op: 'deleteRange'; start: ByteString; end?: ByteString | undefined };

export interface Check {
  key: ByteString;
  target: 'exists' | 'revision' | 'createRevision' | 'version' | 'value';
  op: '=' | '!=' | '<' | '<=' | '>' | '>=';
  wanted: boolean | number | Uint8Array;
}

/** A repeat with the same id and fingerprint is answered, not done again. */
export interface Once {
  id: string;
  fingerprint: string;
}

export type Command =
  | { do: 'operation'; bucket: number; operation: Operation; once?: Once | undefined }
  | {
      do: 'transaction';
      bucket: number;
      checks: readonly Check[];
      onTrue: readonly Operation[];
      onFalse: readonly Operation[];
      once?: Once | undefined;
    }
  /** Makes the bucket, or changes its settings. `id` only where another machine has given it. */
  | { do: 'defineBucket'; id?: number | undefined; name: string; settings: BucketSettings }
  | { do: 'dropBucket'; bucket: number }
  /** Removes up to `limit` rows of a dropped bucket. */
  | { do: 'sweepBucket'; bucket: number; limit: number }
  | { do: 'compact'; bucket: number; revision: number; limit: number }
  /** Time has passed: what is due goes. */
  | { do: 'tick' }
  /**
   * No revision up to this one, and no bucket id up to `bucket`, is ever given again. `forgetPast`: and nothing before
   * this revision can be read any more.
   */
  | { do: 'reserve'; revision: number; bucket?: number | undefined; forgetPast?: boolean | undefined };

/** What one operation came to. */
export interface OperationResult {
  /** 200 read or done, 201 made, 204 changed or gone, 404 a `get` that found nothing. */
  status: 200 | 201 | 204 | 404;
  entry?: ResultEntry | undefined;
  /** `incr`: the new number. */
  number?: number | undefined;
  /** `delete`, `deleteRange`: how many. */
  deleted?: number | undefined;
  /** `deleteRange`: there is more than one revision may delete. */
  more?: boolean | undefined;
}

export interface ResultEntry {
  key: ByteString;
  revision: number;
  createRevision: number;
  version: number;
  expiresAtMs: number;
  sizeBytes: number;
  /** `get` only. */
  value?: Uint8Array | undefined;
  contentType?: string | undefined;
  metadata?: string | undefined;
}

export interface Done {
  /** The revision of this command; when it changed nothing, the present one of the machine. */
  revision: number;
  results: readonly OperationResult[];
  /** `transaction`: which branch ran, and the checks that failed. */
  succeeded?: boolean | undefined;
  failedChecks?: readonly number[] | undefined;
  /** The answer of an earlier request with the same idempotency key. */
  replayed?: boolean | undefined;
  /** `compact`, `sweepBucket`: rows removed, and whether more are left. `defineBucket`: the bucket. */
  removed?: number | undefined;
  more?: boolean | undefined;
  bucket?: number | undefined;
  created?: boolean | undefined;
}

/** A command either happened or did not: a `Problem` changed nothing. */
export type Outcome = Done | Problem;

/** One record of the log. */
export interface CommandRecord {
  timeMs: number;
  commands: readonly Command[];
}

const packr = new Packr({ useRecords: true, variableMapSize: true });

/** The record as bytes of its own. Never throws: whatever a caller can send has a form in the log. */
export function encodeCommands({ timeMs, commands }: CommandRecord): Uint8Array {
  return packr.pack({ timeMs, commands: commands.map((command) => withPatches(command, patchToText)) });
}

/** Values are views into `body`. */
export function decodeCommands(body: Uint8Array): CommandRecord {
  const { timeMs, commands } = packr.unpack(body) as CommandRecord;
  return { timeMs, commands: commands.map((command) => withPatches(command, patchFromText)) };
}

/** The command with its patches in another form; most have none and stay as they are. */
function withPatches(command: Command, form: (patch: unknown) => unknown): Command {
  const formed = <T extends Operation>(operation: T): T =>
    operation.op === 'patch' ? { ...operation, patch: form(operation.patch) } : operation;
  if (command.do === 'operation') {
    return command.operation.op === 'patch' ? { ...command, operation: formed(command.operation) } : command;
  }
  if (command.do !== 'transaction') return command;
  return { ...command, onTrue: command.onTrue.map(formed), onFalse: command.onFalse.map(formed) };
}

export const encodeStored = (value: unknown): Uint8Array => Buffer.from(packr.pack(value));
export const decodeStored = (bytes: Uint8Array): unknown => packr.unpack(bytes);
