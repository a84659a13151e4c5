/**
 * Who the members are, and whether this process is one. Each keeps a key in a KV bucket alive; whoever sees one fall
 * silent deletes its key. Both write on condition that they know the newest revision of that key, so that there is one
 * order of events for each member. `lease.ts` says why that makes taking over safe.
 *
 * Nothing here trusts a subscription: a member whose own heartbeats do not come back by the watch starts the watch anew.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { JetStreamApiError } from '@nats-io/jetstream';
import { type KV, Kvm, type KvWatchEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { Lease, type LeaseClocks } from './lease.ts';
import { type MemberRecord, NOBODY, Roster, type View } from './roster.ts';

export interface MembershipOptions {
  readonly nats: NatsConnection;
  /** Letters, digits, `-` and `_`: unique among all processes that ever ran. */
  readonly id: string;
  readonly bucket: string;
  /** Copies of the bucket among the NATS servers: 1, 3 or 5. */
  readonly replicas: number;
  readonly heartbeatMs: number;
  /** A member that has heard nothing for so long stops deciding. */
  readonly fenceMs: number;
  /** A member that nobody has heard of for so long is declared dead. */
  readonly deadMs: number;
  readonly clocks: LeaseClocks;
  readonly log: OwnersLog | undefined;
  /** The members have changed. */
  onView(view: View): void;
  /** The others go on without this one: whatever it owned is theirs. It joins again by itself. */
  onLost(): void;
}

export interface OwnersLog {
  info(msg: string, fields?: Record<string, unknown>): void;
  warn(msg: string, fields?: Record<string, unknown>): void;
}

/** The key is not where this member left it. */
const WRONG_SEQUENCE = new Set([10_071, 10_164]);
const NO_SUCH_STREAM = 10_059;
/** Traces of those who are gone are kept for so long: no watch that misses them is that late. */
const MARKER_LIFE_MS = 3_600_000;
/** How often the silent are looked for, as a part of the heartbeat. */
const LOOKS_PER_BEAT = 6;

export class Membership {
  readonly #options: MembershipOptions;
  readonly lease: Lease;
  readonly #life = randomUUID();
  #kv: KV | undefined;
  #roster = new Roster(0);
  #view: View = NOBODY;
  /** Of this member's own key, as last acknowledged; 0: it has none. */
  #revision = 0;
  #since = 0;
  #isLeaving = false;
  #hasLeft = false;
  #isStopped = false;
  #isConnected = true;
  #stopWatch: () => void = () => {};
  #wake = new AbortController();
  #burials = new Set<string>();
  #undertaker: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.lease = new Lease(options.clocks, options.fenceMs);
  }

  get view(): View {
    return this.#view;
  }

  /** The connection to NATS stands, as far as this end knows. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Joins, and stays a member until `leave`. Resolves when this member stands in its own view. */
  async start(): Promise<void> {
    void this.#followConnection();
    await this.#join();
    this.#beating = this.#beatOn();
    const everyMs = Math.ceil(this.#options.heartbeatMs / LOOKS_PER_BEAT);
    this.#undertaker = setInterval(() => this.#buryTheSilent(), everyMs);
    this.#undertaker.unref();
  }

  /** The others divide the slots without this member, which still answers them. Resolves when that is known. */
  async announceLeave(): Promise<void> {
    this.#isLeaving = true;
    this.#since = 0;
    this.#hurry();
    const deadlineMs = this.#options.clocks.nowMs() + this.#options.deadMs;
    while (this.#since === 0 && !this.#hasLeft && this.#options.clocks.nowMs() < deadlineMs) await sleep(5);
  }

  /** Goes. What this member owned and did not hand over is lost. It still learns of the others until `stop`. */
  async leave(): Promise<void> {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.lease.end();
    clearInterval(this.#undertaker);
    this.#hurry();
    await this.#beating;
    // Without it they wait until this member counts as dead, which is as safe.
    if (this.#revision > 0 && this.#isConnected) {
      await within(this.#options.heartbeatMs, this.#bury(this.#options.id, this.#revision));
    }
  }

  /** Learns nothing more. */
  stop(): void {
    this.#isStopped = true;
    this.#stopWatch();
  }

  // ------------------------------------------------------------ this member

  async #join(): Promise<void> {
    for (let isFirst = true; !this.#hasLeft; isFirst = false) {
      try {
        await this.#tryToJoin();
        return;
      } catch (error) {
        if (isFirst)
          this.#options.log?.warn('cannot join the other replicas yet; trying again', { error: said(error) });
        await this.#pause(this.#options.heartbeatMs / 2);
      }
    }
  }

  async #tryToJoin(): Promise<void> {
    const { nats, bucket, replicas, id, log } = this.#options;
    // Not read from a follower: it may not know yet what this member wrote.
    const settings = { history: 1, replicas, ttl: MARKER_LIFE_MS, allow_direct: false };
    this.#kv = await new Kvm(nats).create(bucket, settings);
    const sent = this.lease.moment();
    // A try that got no further than this left the key behind.
    if (this.#revision === 0) {
      this.#since = 0;
      this.#revision = await this.#kv.create(id, this.#record());
      this.#since = this.#revision;
      this.lease.renew(sent);
    }
    // A bucket made anew counts from one.
    if (this.#revision < this.#roster.view.epoch) this.#roster = new Roster(0);
    await this.#watch();
    log?.info('joined the replicas', { id, epoch: this.#view.epoch, members: this.#view.members });
  }

  async #beatOn(): Promise<void> {
    while (!this.#hasLeft) {
      await this.#pause(this.#options.heartbeatMs);
      if (!this.#hasLeft) await this.#beat();
    }
  }

  async #beat(): Promise<void> {
    const sent = this.lease.moment();
    const isSeen = this.#roster.revision >= this.#revision;
    const [since, isLeaving] = [this.#since, this.#isLeaving];
    try {
      const { id, heartbeatMs } = this.#options;
      this.#revision = await this.#kv!.update(id, this.#record(), this.#revision, heartbeatMs);
      if (this.#hasLeft) return;
      // What was announced while this was under way is still to be said.
      if (since === 0 && isLeaving === this.#isLeaving) this.#since = this.#revision;
      this.lease.renew(sent);
      if (!isSeen) await this.#watch();
    } catch (error) {
      if (this.#hasLeft) return;
      if (error instanceof JetStreamApiError && WRONG_SEQUENCE.has(error.code)) await this.#findOut();
      else if (await this.#isBucketGone()) await this.#rejoin('the bucket of the members is gone');
    }
  }

  /** Somebody else wrote to this member's key; or it did itself, and the answer never came. */
  async #findOut(): Promise<void> {
    const entry = await this.#kv!.get(this.#options.id).catch(() => undefined);
    if (entry === undefined) return;
    const record = entry?.operation === 'PUT' ? recordIn(entry) : undefined;
    if (record?.life !== this.#life) return this.#rejoin('the other replicas took this one for dead');
    this.#revision = entry!.revision;
    if (record.isLeaving === this.#isLeaving) this.#since = record.since === 0 ? this.#revision : record.since;
    this.#hurry();
  }

  /** There is no such bucket any more. Servers that are away, or have no leader yet, do not say so. */
  async #isBucketGone(): Promise<boolean> {
    if (!this.#isConnected) return false;
    try {
      await this.#kv!.status();
      return false;
    } catch (error) {
      return error instanceof JetStreamApiError && error.code === NO_SUCH_STREAM;
    }
  }

  async #rejoin(why: string): Promise<void> {
    this.#options.log?.warn('not a member any more; joining again', { why, epoch: this.#view.epoch });
    this.lease.end();
    this.#revision = 0;
    // The next view is news, even if it says the same.
    this.#view = NOBODY;
    this.#options.onLost();
    await this.#join();
  }

  #record(): string {
    return JSON.stringify({ since: this.#since, isLeaving: this.#isLeaving, life: this.#life } satisfies MemberRecord);
  }

  // ------------------------------------------------------------ the others

  /** Reads the members anew and follows them. Resolves when they are known. */
  async #watch(): Promise<void> {
    this.#stopWatch();
    const entries = await this.#kv!.watch();
    const fresh = new Roster(this.#roster.view.epoch);
    let isStopped = false;
    this.#stopWatch = () => {
      isStopped = true;
      entries.stop();
    };
    let isComplete = false;
    const known = Promise.withResolvers<void>();
    const follow = async () => {
      for await (const entry of entries) {
        if (isStopped) break;
        const isChange = this.#apply(fresh, entry);
        if (isComplete && isChange) this.#publish();
        if (isComplete || !entry.isUpdate) continue;
        isComplete = true;
        fresh.keepAges(this.#roster);
        this.#roster = fresh;
        this.#publish();
        known.resolve();
      }
      known.resolve();
    };
    void follow();
    await within(this.#options.deadMs, known.promise);
    if (!isComplete) throw new Error('the members are not told');
  }

  #apply(roster: Roster, entry: KvWatchEntry): boolean {
    const record = entry.operation === 'PUT' ? recordIn(entry) : undefined;
    if (record === undefined) return roster.remove(entry.key, entry.revision);
    return roster.put(entry.key, entry.revision, record, this.#options.clocks.nowMs());
  }

  #publish(): void {
    const { view } = this.#roster;
    const isSame = view.epoch === this.#view.epoch && view.members.join() === this.#view.members.join();
    if (isSame || this.#isStopped) return;
    this.#view = view;
    this.#options.onView(view);
  }

  #buryTheSilent(): void {
    // One that is not sure of being a member itself has no say in who is.
    if (!this.lease.isHeld || !this.#isConnected) return;
    const beforeMs = this.#options.clocks.nowMs() - this.#options.deadMs;
    for (const { id, revision } of this.#roster.silentSince(beforeMs)) {
      if (id === this.#options.id || this.#burials.has(id)) continue;
      this.#burials.add(id);
      const told = this.#bury(id, revision);
      void within(this.#options.heartbeatMs, told).then(() => this.#burials.delete(id));
    }
  }

  /** Deletes a member's key if that revision is still the newest: it is not when a heartbeat came after all. */
  async #bury(id: string, revision: number): Promise<void> {
    await this.#kv!.delete(id, { previousSeq: revision }).catch(() => {});
  }

  // ------------------------------------------------------------ the connection

  async #followConnection(): Promise<void> {
    for await (const { type } of this.#options.nats.status()) {
      if (this.#isStopped) return;
      if (type === 'disconnect') this.#isConnected = false;
      if (type !== 'reconnect') continue;
      this.#isConnected = true;
      this.#roster.forgive(this.#options.clocks.nowMs());
      this.#hurry();
    }
    this.#isConnected = false;
  }

  /** Ends the present pause: there is something to do now. */
  #hurry(): void {
    this.#wake.abort();
  }

  async #pause(ms: number): Promise<void> {
    if (!this.#wake.signal.aborted) await sleep(ms, undefined, { signal: this.#wake.signal }).catch(() => {});
    this.#wake = new AbortController();
  }
}

/** Waits for `work`, whether it ends well or not, for at most so many milliseconds. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const timer = Promise.withResolvers<void>();
  const timeout = setTimeout(timer.resolve, ms);
  await Promise.race([work.catch(() => {}), timer.promise]);
  clearTimeout(timeout);
}

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Undefined when it is none: what somebody else wrote there is no member. */
function recordIn(entry: { json<T>(): T }): MemberRecord | undefined {
  try {
    const { since, isLeaving, life } = entry.json<Partial<MemberRecord>>();
    if (!Number.isSafeInteger(since) || typeof life !== 'string') return undefined;
    return { since: since!, isLeaving: isLeaving === true, life };
  } catch {
    return undefined;
  }
}
