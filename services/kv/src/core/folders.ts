/** Folding keys into folders: `a/b/1`, `a/b/2`, `a/c` with prefix `a/` and delimiter `/` are the folder `a/b/` and `a/c`. */
import type { ByteString, Store } from '../store/store.ts';
import type { BucketState } from './bucket.ts';
import { afterPrefix } from './byte-codec.ts';
import { behind, type KeyRange, type Listed, scan, type View } from './reader.ts';

export interface FolderStep {
  /** One of the two, or neither when the rows allowed were used up first. */
  folder?: ByteString;
  listed?: Listed;
  next: KeyRange | undefined;
}

/** The first key or folder of a range. Cost: one seek; the keys in a folder are not read. */
export function nextFolder(
  store: Store,
  bucket: BucketState,
  view: View,
  range: KeyRange,
  { prefix, delimiter }: { prefix: ByteString; delimiter: ByteString },
  rows: number,
): FolderStep {
  const { found, next } = scan(store, bucket, view, range, { entries: 1, rows });
  const listed = found[0];
  if (listed === undefined) return { next };
  const at = listed.key.indexOf(delimiter, prefix.length);
  if (at < 0) return { listed, next: behind(range, listed.key) };
  const folder = listed.key.slice(0, at + delimiter.length);
  return { folder, next: behindFolder(range, folder) };
}

function behindFolder(range: KeyRange, folder: ByteString): KeyRange | undefined {
  if (range.reverse) return folder > range.start ? { ...range, end: folder } : undefined;
  const start = afterPrefix(folder);
  return start === undefined || (range.end !== undefined && start >= range.end) ? undefined : { ...range, start };
}
