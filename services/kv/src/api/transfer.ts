/** Whole buckets as NDJSON: out at one revision, in some hundred lines at a time. */
import { type Call, json, kv, type Reply, type Served, serve } from '@plinth/contracts';
import { entry, LIMITS } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import { z } from 'zod';
import type { Catalog, Handle } from '../core/catalog.ts';
import type { PutOperation } from '../core/command.ts';
import { keyOf } from './key.ts';
import { NDJSON, ndjson } from './ranges.ts';
import { hasPassed, lifeIn } from './request-headers.ts';
import {
  bucketForWrite,
  contentIn,
  durabilityHeaders,
  rangeBytes,
  refuseReadThrough,
  submitOptions,
} from './writes.ts';

/** Lines that are committed together. */
const GROUP_LINES = 500;
const GROUP_BYTES = 1_048_576;
/** The longest line: a value in base64 and what stands around it. */
const LINE_BYTES_MAX = Math.ceil((LIMITS.valueBytesMax * 4) / 3) + 16_384;

/** A line as `export` writes it. Members that only describe the past of an entry are read over. */
const line = z.object({
  key: z.string().optional(),
  keyBase64: z.base64().optional(),
  value: z.string().optional(),
  valueBase64: z.base64().optional(),
  json: z.unknown().optional(),
  contentType: z.string().optional(),
  metadata: entry.shape.metadata,
  ttl: z.string().optional(),
  expiresAt: z.string().optional(),
});

interface Line {
  number: number;
  bytes: Uint8Array;
}

export function transferOperations({ catalog, now }: { catalog: Catalog; now: () => number }): Served[] {
  return [
    serve(kv.exportBucket, (call): Reply => {
      const handle = catalog.find(call.params.bucket!);
      const view = handle.engine.view();
      const range = { ...rangeBytes(call.query), reverse: false };
      const headers = {
        'content-type': NDJSON,
        'content-disposition': `attachment; filename="${handle.name}.ndjson"`,
        'kv-revision': view.revision,
      };
      return { status: 200, headers, body: ndjson({ handle, view, range, values: true }, Infinity) };
    }),
    serve(kv.importBucket, async (call) => {
      refuseOtherMediaTypes(call.header('content-type'));
      const handle = await bucketForWrite(catalog, call.params.bucket!);
      refuseReadThrough(handle);
      const importer = new Importer(handle, call as Call, now);
      const result = await importer.run(call.body);
      return json(200, result, durabilityHeaders(handle));
    }),
  ];
}

/** NDJSON by its several names, and what curl says of any body it is given. */
const NDJSON_TYPES = [NDJSON, 'application/ndjson', 'application/jsonl', 'application/x-www-form-urlencoded'];

function refuseOtherMediaTypes(contentType: string | undefined): void {
  if (contentType === undefined) return;
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase();
  if (NDJSON_TYPES.includes(type)) return;
  throw new Problem('unsupported_media_type', `the body is ${type || 'of no media type'}; understood is ${NDJSON}`);
}

interface Planned {
  number: number;
  operation: PutOperation;
}

/**
 * Commits group after group, each as one transaction: when a line is refused, every group before its own is stored
 * and nothing of its own, and the answer says how many entries that is.
 */
class Importer {
  readonly #handle: Handle;
  readonly #call: Call;
  readonly #now: () => number;
  #imported = 0;
  #expired = 0;
  #revision: number;

  constructor(handle: Handle, call: Call, now: () => number) {
    this.#handle = handle;
    this.#call = call;
    this.#now = now;
    this.#revision = handle.engine.view().revision;
  }

  async run(body: AsyncIterable<Uint8Array>): Promise<{ imported: number; expired: number; revision: number }> {
    let group: Planned[] = [];
    let bytes = 0;
    try {
      for await (const each of lines(body)) {
        const operation = this.#parse(each);
        if (operation === undefined) continue;
        group.push({ number: each.number, operation });
        bytes += operation.value.length;
        if (group.length < GROUP_LINES && bytes < GROUP_BYTES) continue;
        const full = group;
        group = [];
        bytes = 0;
        await this.#commit(full);
      }
    } catch (error) {
      await this.#commit(group);
      throw this.#withCount(error);
    }
    await this.#commit(group);
    return { imported: this.#imported, expired: this.#expired, revision: this.#revision };
  }

  #parse({ number, bytes }: Line): PutOperation | undefined {
    const text = decode(bytes, number);
    if (text.trim() === '') return undefined;
    const item = check(text, number);
    try {
      // An export outlives some of its entries; those are not what a later import should fail at.
      if (item.ttl === undefined && hasPassed(item.expiresAt, this.#now())) {
        this.#expired += 1;
        return undefined;
      }
      return { op: 'put', key: keyOf(item), ...contentIn(item), life: lifeIn(item, this.#now()) };
    } catch (error) {
      if (error instanceof Problem) throw inLine(error, number);
      throw error;
    }
  }

  async #commit(group: readonly Planned[]): Promise<void> {
    if (group.length === 0) return;
    const { engine, bucket } = this.#handle;
    const operations = group.map(({ operation }) => operation);
    const bytes = operations.reduce((sum, { value }) => sum + 256 + value.length, 0);
    const command = { do: 'transaction', bucket: bucket.id, checks: [], onTrue: operations, onFalse: [] } as const;
    try {
      const { revision } = await engine.submit(command, submitOptions(this.#call, bytes));
      this.#imported += group.length;
      this.#revision = revision;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      throw this.#withCount(inGroup(error, group));
    }
  }

  #withCount(error: unknown): unknown {
    if (!(error instanceof Problem) || error.members.imported !== undefined) return error;
    return new Problem(error.code, `${error.message}; ${this.#imported} entries are stored`, {
      members: { ...error.members, imported: this.#imported, revision: this.#revision },
      issues: error.issues,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    });
  }
}

const NEWLINE = 10;

/** The last line must end with a newline too: so that one which was cut off is never taken for whole. */
async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  let rest: Uint8Array = new Uint8Array(0);
  let number = 0;
  for await (const chunk of body) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      number += 1;
      yield { number, bytes: bytes.subarray(start, end) };
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > LINE_BYTES_MAX) throw tooLong(number + 1);
  }
  if (rest.length > 0) throw cutOff(number + 1);
}

const tooLong = (number: number): Problem =>
  inLine(new Problem('value_too_large', `it has more than ${LINE_BYTES_MAX} bytes`), number);

const cutOff = (number: number): Problem =>
  inLine(new Problem('invalid_request', 'it does not end with a newline: the import was cut off there'), number);

function decode(bytes: Uint8Array, number: number): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw inLine(new Problem('invalid_request', 'it is not UTF-8'), number);
  }
}

function check(text: string, number: number): z.output<typeof line> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw inLine(new Problem('invalid_request', `it is not JSON: ${(error as Error).message}`), number);
  }
  const parsed = line.safeParse(value);
  if (!parsed.success) throw inLine(new Problem('invalid_request', z.prettifyError(parsed.error)), number);
  const { key, keyBase64, value: inText, valueBase64, json: asJson } = parsed.data;
  if ((key === undefined) === (keyBase64 === undefined)) {
    throw inLine(new Problem('invalid_key', 'it needs exactly one of key and keyBase64'), number);
  }
  if ([inText, valueBase64, asJson].filter((each) => each !== undefined).length !== 1) {
    throw inLine(new Problem('invalid_request', 'it needs exactly one of value, valueBase64 and json'), number);
  }
  return parsed.data;
}

/** The line whose operation was refused; all of the group when it was refused as a whole, as by a quota. */
function inGroup(problem: Problem, group: readonly Planned[]): Problem {
  const first = group[0]!.number;
  const { operation, ...members } = problem.members;
  if (operation === undefined && group.length > 1) {
    return inLine(problem, first, `lines ${first}–${group.at(-1)!.number}`);
  }
  const words = problem.message.replace(/^operation \d+: /, '');
  const { code, retryAfterMs } = problem;
  const bare = new Problem(code, words, { members, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  return inLine(bare, group[Number(operation ?? 0)]!.number);
}

function inLine(problem: Problem, number: number, place = `line ${number}`): Problem {
  return new Problem(problem.code, `${place}: ${problem.message}`, {
    members: { ...problem.members, line: number },
    ...(problem.retryAfterMs === undefined ? {} : { retryAfterMs: problem.retryAfterMs }),
  });
}
