import type * as kv from '@plinth/contracts/kv';
import { dateOf, type Entry, entryOfJson } from './entry.ts';

/** What happened to one key. */
export interface Change {
  /** `expire`: its time was up. */
  type: 'put' | 'delete' | 'expire';
  /** As `Entry.key`; the exact bytes are in `keyBytes`. */
  key: string;
  keyBytes: Uint8Array;
  revision: number;
  modifiedAt: Date | undefined;
  /** What was put; undefined when it is gone. */
  entry: Entry | undefined;
  /** What was there before, when `previous` was asked for and something was. */
  previous: Entry | undefined;
}

export function changeOfJson({ type, previous, ...json }: kv.ChangeEvent): Change {
  const entry = entryOfJson(json);
  return {
    type,
    key: entry.key,
    keyBytes: entry.keyBytes,
    revision: json.revision,
    modifiedAt: dateOf(json.modifiedAt),
    entry: type === 'put' ? entry : undefined,
    previous: previous === undefined ? undefined : entryOfJson({ ...keyOf(json), ...previous }),
  };
}

const keyOf = ({ key, keyBase64 }: Partial<kv.ChangeEvent>) => ({ key, keyBase64 });
