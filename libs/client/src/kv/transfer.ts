/** Whole buckets, out and in: one entry a line. */
import type * as kv from '@plinth/contracts/kv';
import type { Key } from '../byte-string.ts';
import type { Caller, CallOptions } from '../caller.ts';
import { ndjsonValues } from '../ndjson.ts';
import { replyJson } from '../reply-json.ts';
import { kvEndpoints } from './endpoints.ts';
import { Entry, entryOfJson } from './entry.ts';
import { operationJson } from './operations.ts';
import type { Description, Life } from './write-headers.ts';

/** What `import` takes: an entry with its value, as `export` and `list` with `values` give it, or one made by hand. */
export type ImportItem =
  | Entry
  | ({ key: Key } & Life & Description & ({ value: string | Uint8Array } | { json: unknown }));

const NDJSON = 'application/x-ndjson';
/** Written together: a small line does not pay for a chunk of its own. */
const CHUNK_CHARS = 64 * 1_024;

export async function* exportEntries(
  caller: Caller,
  bucket: string,
  { prefix, ...options }: CallOptions & { prefix?: string },
): AsyncGenerator<Entry> {
  const ask = { endpoint: kvEndpoints.export, params: { bucket }, query: { prefix } };
  const { chunks } = await caller.openStream(ask, options);
  for await (const lines of ndjsonValues(chunks) as AsyncIterable<Partial<kv.Entry>[]>) {
    yield* lines.map(entryOfJson);
  }
}

export async function importLines(
  caller: Caller,
  bucket: string,
  items: Iterable<ImportItem> | AsyncIterable<ImportItem>,
  { timeoutMs = Number.POSITIVE_INFINITY, ...options }: CallOptions,
): Promise<{ imported: number; revision: number }> {
  const headers = { 'content-type': NDJSON };
  const ask = { endpoint: kvEndpoints.import, params: { bucket }, headers, body: chunksOf(items) };
  return replyJson(await caller.call(ask, { timeoutMs, ...options }));
}

async function* chunksOf(items: Iterable<ImportItem> | AsyncIterable<ImportItem>): AsyncGenerator<Uint8Array> {
  let text = '';
  for await (const item of items) {
    text += lineOf(item);
    if (text.length < CHUNK_CHARS) continue;
    yield Buffer.from(text, 'utf8');
    text = '';
  }
  if (text !== '') yield Buffer.from(text, 'utf8');
}

function lineOf(item: ImportItem): string {
  if (item instanceof Entry) return `${JSON.stringify(item)}\n`;
  const { op, ...line } = operationJson({ op: 'put', ...item });
  return `${JSON.stringify(line)}\n`;
}
