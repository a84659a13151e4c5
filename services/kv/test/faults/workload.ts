/**
 * Writers that never stop: each owns its keys, does one thing at a time, and knows what it was told. After a crash they
 * compare that with what is there, and go on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SeededRandom } from '@plinth/testkit';
import { type Answer, type HttpClient, jsonOf, Unanswered } from './http-client.ts';
import { assertPossible, type Knowledge, OwnedKey, readVersion } from './owned-key.ts';

export interface WorkloadOptions {
  bucket: string;
  random: SeededRandom;
  /** How many of each kind; 16 `put` and 2 of every other unless told. */
  counts?: Partial<Record<keyof typeof DEEDS, number>>;
  /** The longest value of `put`, 4,000 bytes unless told. */
  valueBytesMax?: number;
  /** Told of writes that were refused without having happened; the writer then goes on. Omitted: none may be. */
  onRefused?: (answer: Answer) => void;
  /** Called at once when a write is acknowledged. */
  onAcknowledged?: () => void;
}

interface Tools {
  http: HttpClient;
  bucket: string;
  random: SeededRandom;
  valueBytesMax: number;
  onRefused?: (answer: Answer) => void;
  onAcknowledged?: () => void;
}

/** One operation on the writer's own keys: `begin` before it is sent, then `acknowledge`. */
type Deed = (keys: readonly OwnedKey[], count: number, tools: Tools) => Promise<Answer>;

/** Half of the request was there when the service was frozen, and its time was over when it went on. */
const NEVER_ARRIVED = 408;

class Refused extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super(`answered ${answer.status} ${answer.body}`);
    this.answer = answer;
  }
}

function expectOne(answer: Answer, ...statuses: number[]): Answer {
  if (!statuses.includes(answer.status)) throw new Refused(answer);
  return answer;
}

/** Values never repeat, so that finding one says which write it was. */
const textOf = (key: OwnedKey, count: number): string => `${key.key}#${count}`;

async function put([key]: readonly OwnedKey[], count: number, { http, random, valueBytesMax }: Tools): Promise<Answer> {
  const value = textOf(key!, count).padEnd(Math.floor(random() ** 4 * valueBytesMax), '.');
  key!.begin({ value });
  const answer = expectOne(await http.send('PUT', key!.path, { body: value }), 201, 204);
  key!.acknowledgeBy(answer);
  return answer;
}

/** Changes it only as it was last seen, and now and then deletes it. */
async function compareAndSet([key]: readonly OwnedKey[], count: number, { http, random }: Tools): Promise<Answer> {
  const { known } = key!;
  const headers: Record<string, string> =
    known === undefined ? { 'if-none-match': '*' } : { 'if-match': `"${known.revision}"` };
  if (known !== undefined && random() < 0.2) {
    key!.begin({ value: undefined });
    const answer = expectOne(await http.send('DELETE', key!.path, { headers }), 204);
    key!.acknowledgeBy(answer);
    return answer;
  }
  const value = textOf(key!, count);
  key!.begin({ value });
  const answer = expectOne(await http.send('PUT', key!.path, { headers, body: value }), 201, 204);
  key!.acknowledgeBy(answer);
  return answer;
}

/** An increment that was not answered is sent again under its id, and must not count twice. */
async function increment([key]: readonly OwnedKey[], count: number, { http }: Tools): Promise<Answer> {
  const value = String(Number(key!.known?.value ?? 0) + 1);
  const id = key!.attempt?.id ?? `${key!.key}#${count}`;
  key!.begin({ value, id });
  const headers = { 'idempotency-key': id };
  const answer = expectOne(await http.sendJson('POST', `${key!.path}:incr`, { by: 1 }, headers), 200);
  const done = jsonOf<{ value: number; revision: number }>(answer);
  if (String(done.value) !== value) throw new Error(`${key!.key}: incremented to ${done.value}, not to ${value}`);
  key!.acknowledge(done.revision);
  return answer;
}

/** Three keys at once, if none of them was touched since. */
async function transact(keys: readonly OwnedKey[], count: number, { http, bucket }: Tools): Promise<Answer> {
  const checks = keys.map(({ key, known }) => ({ key, revision: known?.revision ?? 0 }));
  const writes = keys.map((key) => ({ op: 'put', key: key.key, value: textOf(key, count) }));
  for (const key of keys) key.begin({ value: textOf(key, count) });
  // biome-ignore lint/suspicious/noThenProperty: the API's word.
  const body = { if: checks, then: writes };
  const answer = expectOne(await http.sendJson('POST', `/v1/kv/${bucket}:txn?strict=true`, body), 200);
  const { revision } = jsonOf<{ revision: number }>(answer);
  for (const key of keys) key.acknowledge(revision);
  return answer;
}

async function putAndDelete(keys: readonly OwnedKey[], count: number, tools: Tools): Promise<Answer> {
  const [key] = keys;
  if (key!.known === undefined) return put(keys, count, tools);
  key!.begin({ value: undefined });
  const answer = expectOne(await tools.http.send('DELETE', key!.path), 204);
  key!.acknowledgeBy(answer);
  return answer;
}

/** Long lives must be found with their end, short ones be gone after it. */
async function putWithTtl([key]: readonly OwnedKey[], count: number, { http, random }: Tools): Promise<Answer> {
  const value = textOf(key!, count);
  const isShort = random() < 0.5;
  key!.begin({ value, isShort });
  const headers = { 'kv-ttl': isShort ? '150ms' : '1h' };
  const answer = expectOne(await http.send('PUT', key!.path, { headers, body: value }), 201, 204);
  key!.acknowledgeBy(answer);
  return answer;
}

const DEEDS = { put, compareAndSet, increment, transact, putAndDelete, putWithTtl } satisfies Record<string, Deed>;

export interface Acknowledged {
  revision: number;
  key: string;
  value: string | undefined;
}

export class Workload {
  readonly writers: readonly Writer[];
  /** Every write that was answered. Shared by all writers, in the order of answers. */
  readonly acknowledged: Acknowledged[] = [];
  /** What a revision wrote to a key; told twice with another value, it was given twice. */
  readonly #byRevision = new Map<string, string | undefined>();

  constructor({ bucket, random, counts = {}, valueBytesMax = 4_000, ...told }: WorkloadOptions) {
    this.writers = Object.entries(DEEDS).flatMap(([name, deed]) =>
      Array.from({ length: counts[name as keyof typeof DEEDS] ?? (name === 'put' ? 16 : 2) }, (_, at) => {
        const keyNames = name === 'transact' ? ['a', 'b', 'c'] : [''];
        const keys = keyNames.map((suffix) => new OwnedKey(bucket, `${name}-${at}${suffix}`));
        const tools = { bucket, random, valueBytesMax, ...told };
        return new Writer({ keys, deed, tools, told: (each) => this.tell(each) });
      }),
    );
  }

  get keys(): readonly OwnedKey[] {
    return this.writers.flatMap(({ keys }) => keys);
  }

  /** The highest revision that was acknowledged. */
  get lastRevision(): number {
    return this.acknowledged.reduce((highest, { revision }) => Math.max(highest, revision), 0);
  }

  /**
   * Sets all writers to work. Each ends when the signal says so, when its connection broke, and when an answer asked it
   * to leave (`Connection: close`), or said that it had not all of the request in time. Resolves when all have ended.
   */
  async run(http: HttpClient, signal: AbortSignal): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.run(http, signal)));
  }

  /** @throws Error when anything is there that cannot be, or not there that must be. */
  async settle(http: HttpClient): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.settle(http)));
  }

  /** As `settle`, without sending anything again. */
  async settleByReading(http: HttpClient): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.settle(http, { sendsAgain: false })));
  }

  /** Takes note of a write, acknowledged or found. @throws Error when its revision had written another value. */
  tell(write: Acknowledged): void {
    const at = `${write.revision} ${write.key}`;
    if (this.#byRevision.has(at) && this.#byRevision.get(at) !== write.value) {
      throw new Error(`revision ${at} has written two values: ${this.#byRevision.get(at)} and ${write.value}`);
    }
    if (!this.#byRevision.has(at)) this.acknowledged.push(write);
    this.#byRevision.set(at, write.value);
  }

  moment(): Knowledge[] {
    return this.keys.map((key) => key.moment());
  }
}

/** What may be there, of what was known at a moment, and nothing else. Changes nothing. */
export async function expectMoment(http: HttpClient, moment: readonly Knowledge[]): Promise<void> {
  const found = await Promise.all(moment.map((each) => readVersion(http, each)));
  for (const [at, knowledge] of moment.entries()) assertPossible(knowledge, found[at]);
  const transactions = Map.groupBy([...moment.keys()], (at) => /^(transact-\d+)/.exec(moment[at]!.key)?.[1]);
  transactions.delete(undefined);
  for (const [name, all] of transactions) {
    const revisions = new Set(all.map((at) => found[at]?.revision));
    if (revisions.size > 1) throw new Error(`${name}: half a transaction: ${[...revisions]}`);
  }
}

class Writer {
  readonly keys: readonly OwnedKey[];
  readonly #deed: Deed;
  readonly #tools: Omit<Tools, 'http'>;
  readonly #told: (write: Acknowledged) => void;
  #count = 0;

  constructor(parts: {
    keys: readonly OwnedKey[];
    deed: Deed;
    tools: Omit<Tools, 'http'>;
    told: (write: Acknowledged) => void;
  }) {
    this.keys = parts.keys;
    this.#deed = parts.deed;
    this.#tools = parts.tools;
    this.#told = parts.told;
  }

  async run(http: HttpClient, signal: AbortSignal): Promise<void> {
    let isLeaving = false;
    while (!signal.aborted && !isLeaving) {
      try {
        isLeaving = (await this.#act(http)).closes;
      } catch (error) {
        if (error instanceof Refused && error.answer.status === NEVER_ARRIVED) return this.#neverArrived();
        if (error instanceof Refused && this.#tools.onRefused !== undefined) {
          await this.#refused(error.answer);
          isLeaving = error.answer.closes;
        } else if (error instanceof Unanswered) return this.#unanswered(error);
        else throw error;
      }
    }
  }

  async #act(http: HttpClient): Promise<Answer> {
    const before = this.keys.map(({ lastRevision }) => lastRevision);
    const answer = await this.#deed(this.keys, this.#count++, { ...this.#tools, http });
    for (const [at, { lastRevision: revision, key, known }] of this.keys.entries()) {
      if (revision > before[at]!) this.#told({ revision, key, value: known?.value });
    }
    this.#tools.onAcknowledged?.();
    return answer;
  }

  #unanswered({ wasNeverSent }: Unanswered): void {
    if (wasNeverSent) this.#neverArrived();
  }

  #neverArrived(): void {
    for (const key of this.keys) key.giveUp();
  }

  async #refused(answer: Answer): Promise<void> {
    const { retryable } = jsonOf<{ retryable: string }>(answer);
    if (retryable !== 'safe') throw new Refused(answer);
    for (const key of this.keys) key.giveUp();
    this.#tools.onRefused?.(answer);
    await sleep(REFUSED_PAUSE_MS);
  }

  async settle(http: HttpClient, { sendsAgain = true } = {}): Promise<void> {
    await expectMoment(http, this.keys);
    for (const key of this.keys) {
      // Sent again under its id, it must neither count twice nor be another revision.
      if (sendsAgain && key.attempt?.id !== undefined) await this.#act(http);
      const found = await readVersion(http, key);
      key.settle(found);
      if (found !== undefined) this.#told({ revision: found.revision, key: key.key, value: found.value });
    }
  }
}

/** So that writers who are refused leave the processor to those who are not. */
const REFUSED_PAUSE_MS = 20;
