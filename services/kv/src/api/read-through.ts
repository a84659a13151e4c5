/**
 * Filling a bucket from an HTTP origin. A key that is missing is fetched once however many ask for it, kept for as
 * long as it is fresh and for as long after that as it may be served stale; that the origin has no such key is
 * remembered too, for a shorter while.
 */
import type { Origin } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Handle } from '../core/catalog.ts';
import { keyNotFound } from '../core/operations.ts';
import type { Entry } from '../core/reader.ts';
import type { ByteString } from '../store/store.ts';
import { keyInUrl } from './key.ts';

export interface ReadThroughAnswer {
  entry: Entry;
  /** `KV-Cache`: `hit`, `miss`, `stale` (being fetched anew) or `stale-if-error`; `Age` in seconds. */
  headers: Record<string, string | number>;
}

/** Missing keys remembered: some megabytes. */
const ABSENT_MAX = 10_000;

export class ReadThrough {
  readonly #now: () => number;
  readonly #fetching = new Map<string, Promise<boolean>>();
  /** Until when a key is known to be missing at its origin; oldest first. */
  readonly #absentUntilMs = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws Problem `key_not_found` when the origin has none, `upstream_failed` when it does not answer well. */
  async get(handle: Handle, key: ByteString, deadlineMs: number): Promise<ReadThroughAnswer> {
    const entry = this.#read(handle, key);
    const origin = originOf(handle);
    const ageMs = entry === undefined ? Infinity : this.#now() - entry.record.timeMs;
    if (ageMs < origin.ttlMs) return answer(entry!, 'hit', ageMs);
    if (ageMs < origin.ttlMs + origin.staleWhileRevalidateMs) {
      void this.#refresh(handle, key, origin).catch(() => {});
      return answer(entry!, 'stale', ageMs);
    }
    if ((this.#absentUntilMs.get(id(handle, key)) ?? 0) > this.#now()) throw keyNotFound(key);
    return this.#fetched(handle, key, origin, deadlineMs);
  }

  /** A caller deleted the key: the next one asks the origin. */
  forget(handle: Handle, key: ByteString): void {
    this.#absentUntilMs.delete(id(handle, key));
  }

  async #fetched(handle: Handle, key: ByteString, origin: Origin, deadlineMs: number): Promise<ReadThroughAnswer> {
    let found: boolean;
    try {
      found = await within(this.#refresh(handle, key, origin), deadlineMs - this.#now());
    } catch (error) {
      const stale = this.#read(handle, key);
      const ageMs = stale === undefined ? Infinity : this.#now() - stale.record.timeMs;
      if (ageMs < origin.ttlMs + origin.staleIfErrorMs) return answer(stale!, 'stale-if-error', ageMs);
      throw error;
    }
    const entry = found ? this.#read(handle, key) : undefined;
    if (entry === undefined) throw keyNotFound(key);
    return answer(entry, 'miss', 0);
  }

  #read({ engine, bucket }: Handle, key: ByteString): Entry | undefined {
    return engine.read(bucket.id, key);
  }

  /** One fetch a key at a time. Resolves with false when the origin has no such key. */
  #refresh(handle: Handle, key: ByteString, origin: Origin): Promise<boolean> {
    const name = id(handle, key);
    const running = this.#fetching.get(name);
    if (running !== undefined) return running;
    const fetching = this.#fetch(handle, key, origin).finally(() => this.#fetching.delete(name));
    this.#fetching.set(name, fetching);
    return fetching;
  }

  async #fetch(handle: Handle, key: ByteString, origin: Origin): Promise<boolean> {
    const response = await ask(origin, key);
    if (response.status === 404 || response.status === 410) {
      await response.body?.cancel();
      await this.#rememberAbsent(handle, key, origin);
      return false;
    }
    if (response.status !== 200) {
      await response.body?.cancel();
      throw upstreamFailed(`it answered ${response.status}`);
    }
    const value = await readBounded(response, handle.bucket.settings.valueBytesMax);
    const keptMs = origin.ttlMs + Math.max(origin.staleWhileRevalidateMs, origin.staleIfErrorMs);
    const contentType = response.headers.get('content-type') ?? undefined;
    const operation = { op: 'put', key, value, contentType, life: { ttlMs: keptMs } } as const;
    await handle.engine.submit({ do: 'operation', bucket: handle.bucket.id, operation });
    return true;
  }

  async #rememberAbsent(handle: Handle, key: ByteString, origin: Origin): Promise<void> {
    const operation = { op: 'delete', key } as const;
    await handle.engine.submit({ do: 'operation', bucket: handle.bucket.id, operation });
    if (origin.negativeTtlMs === 0) return;
    this.#absentUntilMs.delete(id(handle, key));
    this.#absentUntilMs.set(id(handle, key), this.#now() + origin.negativeTtlMs);
    if (this.#absentUntilMs.size > ABSENT_MAX) this.#absentUntilMs.delete(this.#absentUntilMs.keys().next().value!);
  }
}

const id = ({ bucket }: Handle, key: ByteString): string => `${bucket.id} ${key}`;

function originOf({ name, bucket }: Handle): Origin {
  const { origin } = bucket.settings;
  if (origin === undefined) throw new Problem('conflict', `bucket ${name} has no origin: set one`);
  return origin;
}

function answer(entry: Entry, cache: string, ageMs: number): ReadThroughAnswer {
  return { entry, headers: { 'kv-cache': cache, age: Math.floor(ageMs / 1_000) } };
}

async function ask(origin: Origin, key: ByteString): Promise<Response> {
  try {
    // An origin that sends us elsewhere was not what the bucket was set to: the 3xx is its answer, and is refused.
    return await fetch(origin.url + keyInUrl(key), {
      redirect: 'manual',
      signal: AbortSignal.timeout(origin.timeoutMs),
    });
  } catch (error) {
    throw upstreamFailed('it could not be reached', error);
  }
}

/** Stops reading when the value turns out larger than the bucket takes. */
async function readBounded(response: Response, limitBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response.body ?? []) {
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes) throw upstreamFailed(`its answer is larger than ${limitBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof Problem ? error : upstreamFailed('its answer broke off', error);
  }
  return Buffer.concat(chunks);
}

const upstreamFailed = (why: string, cause?: unknown): Problem =>
  new Problem('upstream_failed', `the origin failed: ${why}`, { retryAfterMs: 1_000, cause });

/** The fetch goes on for the others who wait for it. */
function within<T>(work: Promise<T>, ms: number): Promise<T> {
  if (ms === Infinity) return work;
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Problem('deadline_exceeded', 'the origin did not answer in time')), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
