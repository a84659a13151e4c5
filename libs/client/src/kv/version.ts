import type * as kv from '@plinth/contracts/kv';
import { dateOf, type Entry, entryOfJson } from './entry.ts';

/** What a key was at some time. */
export interface KeyVersion {
  type: 'put' | 'delete' | 'expire';
  revision: number;
  modifiedAt: Date | undefined;
  /** Undefined for deletions; without its value unless asked for. */
  entry: Entry | undefined;
}

export function versionOfJson({ type, ...json }: Omit<kv.ChangeEvent, 'more'>): KeyVersion {
  const modifiedAt = dateOf(json.modifiedAt);
  return { type, revision: json.revision, modifiedAt, entry: type === 'put' ? entryOfJson(json) : undefined };
}
