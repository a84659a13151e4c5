/**
 * What long quotas remember over a crash: those of a calendar, and windows of an hour or more. The state of each key
 * that changed is written to a JetStream stream about once a second, under a subject of its own, of which the stream
 * keeps the newest message alone: so what has to be read again is a state per key and never a history, and a thousand
 * decisions on one key in a second are one message.
 *
 * What a crash loses: decisions since the last write, a second and the time it takes.
 *
 * One writer per key. Each write says which message of its subject it replaces; one that is wrong about that finds out
 * what is there and looks again whether it may write at all: a replica that was taken for dead may not.
 */
import { createHash } from 'node:crypto';
import {
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { type Ledger, type Policy, type PolicySpec, policyOf, type StateRecord } from '@plinth/limiter';
import type { OwnersLog } from './owners/membership.ts';
import { slotOf } from './owners/slots.ts';

/** Where states are written. The user of the service must be allowed to publish below it. */
const SUBJECTS = 'plinth.ratelimit.v1.quotas';
const LONG_WINDOW_MS = 3_600_000;

export interface QuotaJournalOptions {
  readonly nats: NatsConnection;
  /** Where the states are taken from, and put when they are read again. */
  readonly ledger: Ledger;
  /** Default `plinth-ratelimit-quotas`. */
  readonly stream?: string | undefined;
  /** Copies of the stream among the NATS servers: 1, 3 or 5. Default 1. */
  readonly replicas?: number | undefined;
  /** Between two writes. Default 1,000. */
  readonly everyMs?: number | undefined;
  /** Milliseconds since 1970. Default the machine's. */
  readonly wallMs?: (() => number) | undefined;
  /** Is this process the one that decides the key, still? Default: always. */
  readonly mayWrite?: ((key: string) => boolean) | undefined;
  readonly log?: OwnersLog | undefined;
}

/** A message: all that is known of one key. */
interface Entry {
  readonly key: string;
  readonly wallMs: number;
  readonly states: readonly StateRecord[];
}

/** So many keys are written at once, and so many that wait bring the next write forward. */
const BATCH_MAX = 500;
const HURRY_AT = 2_000;
const EVERY_MS = 1_000;
const WRITE_MS_MAX = 5_000;
/** A state is kept this much longer than it means anything: clocks differ. */
const SLACK_S = 3_600;
/** Beyond so many slots all are read, and those not wanted are left out here. */
const FILTERS_MAX = 256;
const READ_BATCH = 1_000;
/** No message came for so long: it is asked again whether there are any. */
const READ_IDLE_MS = 2_000;
const WRONG_SEQUENCE = new Set([10_071, 10_164]);

/** Is this a limit that a crash must not forget? */
export const isDurable = ({ algorithm, periods, windowUs }: Policy): boolean =>
  periods !== undefined || (algorithm !== undefined && windowUs >= LONG_WINDOW_MS * 1_000);

const isDurableSpec = (spec: PolicySpec): boolean =>
  spec.algorithm === 'calendar' || (spec.windowMs !== undefined && spec.windowMs >= LONG_WINDOW_MS);

/** Makes the stream if there is none yet. @throws Error while JetStream cannot be reached. */
export async function openQuotaJournal(options: QuotaJournalOptions): Promise<QuotaJournal> {
  const { nats, stream = 'plinth-ratelimit-quotas', replicas = 1 } = options;
  const manager = await jetstreamManager(nats);
  await manager.streams.info(stream).catch(async (error: unknown) => {
    if (!(error instanceof JetStreamApiError)) throw error;
    await manager.streams.add({
      name: stream,
      description: 'Plinth rate limits: the newest state of each long quota',
      subjects: [`${SUBJECTS}.>`],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      discard: DiscardPolicy.Old,
      max_msgs_per_subject: 1,
      num_replicas: replicas,
      allow_msg_ttl: true,
      allow_atomic: true,
      allow_direct: true,
    });
  });
  const journal = new QuotaJournal(options, { manager, stream });
  journal.start();
  return journal;
}

export class QuotaJournal {
  readonly #options: QuotaJournalOptions;
  readonly #manager: JetStreamManager;
  readonly #js: JetStreamClient;
  readonly #stream: string;
  readonly #wallMs: () => number;
  readonly #mayWrite: (key: string) => boolean;
  readonly #changed = new Set<string>();
  /** By key: the message that holds its state, as far as this process knows; 0 of none. */
  readonly #sequences = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #isStopped = false;
  #written = 0;
  #failed = 0;

  constructor(options: QuotaJournalOptions, { manager, stream }: { manager: JetStreamManager; stream: string }) {
    this.#options = options;
    this.#manager = manager;
    this.#js = jetstream(options.nats);
    this.#stream = stream;
    this.#wallMs = options.wallMs ?? Date.now;
    this.#mayWrite = options.mayWrite ?? (() => true);
  }

  start(): void {
    const { everyMs = EVERY_MS } = this.#options;
    this.#timer = setInterval(() => void this.flush(), everyMs).unref();
  }

  /** Keys whose newest state is still to be written. */
  get lag(): number {
    return this.#changed.size;
  }

  /** The state of a key has changed; which is written soon if the policy is one that is remembered. Cost: a set's entry. */
  note({ key, policy }: { readonly key: string; readonly policy: Policy }): void {
    if (!isDurable(policy)) return;
    this.#changed.add(key);
    if (this.#changed.size === HURRY_AT) void this.flush();
  }

  /** A state came from another process, which may not have written it yet. */
  noteRecord({ key, spec }: StateRecord): void {
    if (spec !== null && isDurableSpec(spec)) this.#changed.add(key);
  }

  /** Writes what has changed. Resolves when it is stored, or could not be: then it is tried again with the next. */
  flush(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  /** Writes what has changed, and nothing any more. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.flush();
    if (this.#changed.size > 0) await this.flush();
  }

  /** Lines in Prometheus' text format. */
  metrics(): string {
    return [
      '# HELP plinth_ratelimit_journal_lag_keys Long quotas whose newest state is still to be written.',
      '# TYPE plinth_ratelimit_journal_lag_keys gauge',
      `plinth_ratelimit_journal_lag_keys ${this.lag}`,
      '# HELP plinth_ratelimit_journal_writes_total States of long quotas that were written, and that could not be.',
      '# TYPE plinth_ratelimit_journal_writes_total counter',
      `plinth_ratelimit_journal_writes_total{outcome="written"} ${this.#written}`,
      `plinth_ratelimit_journal_writes_total{outcome="failed"} ${this.#failed}`,
    ].join('\n');
  }

  // ------------------------------------------------------------ writing

  async #write(): Promise<void> {
    const keys = [...this.#changed];
    for (let from = 0; from < keys.length; from += BATCH_MAX) {
      const batch = keys.slice(from, from + BATCH_MAX);
      const entries = this.#entries(batch);
      if (entries.length > 1 && (await this.#storeTogether(entries))) continue;
      const stored = await Promise.all(entries.map((entry) => this.#store(entry)));
      // While nothing can be stored, more would only wait.
      if (!stored.includes(true)) break;
    }
  }

  /** The present states of keys that are this process's to write. */
  #entries(keys: readonly string[]): Entry[] {
    const mine: string[] = [];
    for (const key of keys) {
      // Changed again after this moment: written again.
      this.#changed.delete(key);
      if (this.#mayWrite(key)) mine.push(key);
    }
    const byKey = new Map<string, StateRecord[]>(mine.map((key) => [key, []]));
    for (const state of this.#options.ledger.exportKeys(mine)) byKey.get(state.key)!.push(state);
    const wallMs = this.#wallMs();
    return [...byKey].map(([key, states]) => ({ key, wallMs, states }));
  }

  /**
   * Writes entries as one batch, all or none: a server that syncs each write syncs it once. (20,000 keys on a busy
   * machine: 1.4 s, and 30 s one by one.)
   *
   * @returns False when it was refused, for one of them is not as this process believes.
   */
  async #storeTogether(entries: readonly Entry[]): Promise<boolean> {
    try {
      const [first, ...others] = entries as [Entry, ...Entry[]];
      const last = others.pop()!;
      const head = this.#message(first);
      const batch = await this.#js.startBatch(head.subject, head.text, {
        headers: head.headers,
        timeout: WRITE_MS_MAX,
      });
      for (const { subject, text, headers: of } of others.map((entry) => this.#message(entry))) {
        batch.add(subject, text, { headers: of });
      }
      const tail = this.#message(last);
      const { seq } = await batch.commit(tail.subject, tail.text, { headers: tail.headers, timeout: WRITE_MS_MAX });
      // They are stored one behind the other.
      for (const [at, { key }] of entries.entries()) this.#sequences.set(key, seq - entries.length + 1 + at);
      this.#written += entries.length;
      return true;
    } catch {
      return false;
    }
  }

  #message(entry: Entry): { subject: string; text: string; headers: MsgHdrs } {
    const of = headers();
    // Who does not know says that there is none, and is told.
    of.set('Nats-Expected-Last-Subject-Sequence', `${this.#sequences.get(entry.key) ?? 0}`);
    of.set('Nats-TTL', `${Math.ceil(lifeS(entry)) + SLACK_S}s`);
    return { subject: subjectOf(entry.key), text: JSON.stringify(entry), headers: of };
  }

  async #store(entry: Entry, isRetry = false): Promise<boolean> {
    const { key } = entry;
    const subject = subjectOf(key);
    try {
      const { text, headers: of } = this.#message(entry);
      const { seq } = await this.#js.publish(subject, text, { headers: of, timeout: WRITE_MS_MAX });
      this.#sequences.set(key, seq);
      this.#written += 1;
      return true;
    } catch (error) {
      const isOutdated = error instanceof JetStreamApiError && WRONG_SEQUENCE.has(error.code);
      if (isOutdated && !isRetry && this.#mayWrite(key) && (await this.#lookUp(key, subject))) {
        return this.#store(entry, true);
      }
      this.#failed += 1;
      if (this.#mayWrite(key)) this.#changed.add(key);
      return false;
    }
  }

  /** Who writes a key from now on learns what is there. */
  async #lookUp(key: string, subject: string): Promise<boolean> {
    try {
      const message = await this.#manager.streams.getMessage(this.#stream, { last_by_subj: subject });
      this.#sequences.set(key, message?.seq ?? 0);
      return true;
    } catch {
      return false;
    }
  }

  // ------------------------------------------------------------ reading

  /**
   * Reads the states of slots into the ledger, in the place of whatever it knows of their keys: before anything of them
   * is decided.
   *
   * @param slots - Default all.
   * @returns How many keys were read.
   * @throws Error when the stream cannot be read: some may have been.
   */
  async replay(slots?: readonly number[]): Promise<number> {
    if (slots?.length === 0) return 0;
    const isSome = slots !== undefined && slots.length <= FILTERS_MAX;
    const wanted = slots === undefined ? undefined : new Set(slots);
    const filters = isSome ? slots.map((slot) => `${SUBJECTS}.${slot}.*`) : [`${SUBJECTS}.>`];
    const consumer = await this.#js.consumers.get(this.#stream, {
      filter_subjects: filters,
      deliver_policy: DeliverPolicy.All,
    });
    let read = 0;
    let pending = (await consumer.info()).num_pending;
    while (pending > 0) {
      const messages = await consumer.fetch({ max_messages: Math.min(pending, READ_BATCH), expires: READ_IDLE_MS });
      const batch: JsMsg[] = [];
      for await (const message of messages) {
        pending = message.info.pending;
        batch.push(message);
      }
      if (batch.length === 0) throw new Error(`${pending} states of long quotas are told of and do not come`);
      read += this.#takeIn(batch.filter(({ subject }) => wanted === undefined || wanted.has(slotIn(subject))));
    }
    await consumer.delete().catch(() => {});
    return read;
  }

  #takeIn(messages: readonly JsMsg[]): number {
    const states: StateRecord[] = [];
    let keys = 0;
    for (const message of messages) {
      try {
        const entry = message.json<Entry>();
        this.#sequences.set(entry.key, message.seq);
        // The clock may have been set back: then no time has passed.
        const passedUs = Math.max(0, this.#wallMs() - entry.wallMs) * 1_000;
        for (const state of entry.states) states.push({ ...state, nowUs: state.nowUs + passedUs });
        if (entry.states.length > 0) keys += 1;
      } catch (error) {
        const { subject } = message;
        this.#options.log?.warn('the state of a long quota cannot be read', {
          subject,
          error: (error as Error).message,
        });
      }
    }
    this.#replace(states);
    return keys;
  }

  #replace(states: readonly StateRecord[]): void {
    const { ledger } = this.#options;
    // Thousands of keys have one policy, and a calendar is no cheap thing to make.
    const policies = new Map<string, Policy>();
    for (const { key, spec } of states) {
      if (spec === null) continue;
      const text = JSON.stringify(spec);
      const policy = policies.get(text) ?? policyOf(spec);
      policies.set(text, policy);
      ledger.reset([{ key, policy, cost: 0 }]);
    }
    ledger.import(states);
  }

  /** Forgets which messages hold these keys: another process writes them now. */
  forget(slots: ReadonlySet<number>): void {
    for (const key of this.#sequences.keys()) if (slots.has(slotOf(key))) this.#sequences.delete(key);
  }
}

/** A key may have characters that a subject may not, and be long. */
function subjectOf(key: string): string {
  const name = createHash('sha256').update(key).digest('base64url').slice(0, 22);
  return `${SUBJECTS}.${slotOf(key)}.${name}`;
}

const slotIn = (subject: string): number => Number(subject.split('.').at(-2));

/** Seconds after which none of these states means anything: twice the time that a full one takes to be fresh. */
function lifeS({ states }: Entry): number {
  let lifeMs = 0;
  for (const { spec } of states) {
    if (spec === null) lifeMs = Math.max(lifeMs, BLOCK_MS);
    else lifeMs = Math.max(lifeMs, 2 * (spec.windowMs ?? PERIOD_MS) * Math.max(1, (spec.burst ?? 1) / spec.limit));
  }
  return Math.min(lifeMs, LIFE_MS_MAX) / 1_000;
}

const BLOCK_MS = 31 * 86_400_000;
const PERIOD_MS = 366 * 86_400_000;
const LIFE_MS_MAX = 10 * PERIOD_MS;
