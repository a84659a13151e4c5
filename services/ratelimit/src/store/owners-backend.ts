/**
 * The replicas themselves are the store: each owns a part of all keys and decides them in its memory, and asks the
 * others for theirs over NATS. No Redis, and no decision that two replicas make at once. README.md has what each
 * failure costs.
 *
 * - `slots.ts`: which key belongs to whom. `roster.ts`, `membership.ts`: who there is. `lease.ts`: for how long.
 * - `tenure.ts`: who decides what, and that nobody else does. `estate.ts`: the states. `copies.ts`: what a crash leaves.
 * - `routes.ts`, `lane.ts`, `wire.ts`, `post.ts`: how a call reaches the owner.
 */
import type { NatsConnection } from '@nats-io/transport-node';
import { type Charge, type Decision, type Grant, type LimiterClock, processClock } from '@plinth/limiter';
import { type Ask, type Backend, BackendAway, type Hold, type HoldAsk, type Outturn } from './backend.ts';
import { Conservatism, type Restart } from './owners/conservatism.ts';
import { Copies, type CopyMessage } from './owners/copies.ts';
import { Estate } from './owners/estate.ts';
import { UNHEARD } from './owners/lane.ts';
import { Membership, type OwnersLog } from './owners/membership.ts';
import { Post } from './owners/post.ts';
import type { View } from './owners/roster.ts';
import { isFailure, type Outcome, Routes } from './owners/routes.ts';
import { slotOf, slotTable } from './owners/slots.ts';
import { Tenure } from './owners/tenure.ts';
import { decodeCall, encodeAnswer, encodeRefusal, PolicyTexts } from './owners/wire.ts';
import { assertSound, FULL, MOVED, type Reply, type Results, type UNKNOWN, type Wish } from './owners/wish.ts';
import { openQuotaJournal, type QuotaJournal, type QuotaJournalOptions } from './quota-journal.ts';

export interface OwnersOptions {
  readonly nats: NatsConnection;
  /** Unique among all processes that ever ran: `ratelimit-0-x7f3k2`. Letters, digits, `-` and `_`. */
  readonly id: string;
  /** KV bucket of the members. Default `plinth-ratelimit-members`. */
  readonly bucket?: string | undefined;
  /** Copies of the bucket among the NATS servers: 1, 3 or 5. Default 1. */
  readonly replicas?: number | undefined;
  /** How long a call to another replica may take. Default 50. */
  readonly callMs?: number | undefined;
  /** How long a call waits for keys that change hands. Default 250. */
  readonly moveMs?: number | undefined;
  /** Between two heartbeats. Default 600; a silent replica is taken for dead after 3.8 of them. */
  readonly heartbeatMs?: number | undefined;
  /** Between two copies of what changed to the next owner; 0: none are sent. Default 100. */
  readonly copyMs?: number | undefined;
  /** How keys begin whose states were lost in a crash. Default `auto`. */
  readonly restart?: Restart | undefined;
  /** The most time that `drain` takes. Default 5,000. */
  readonly drainMs?: number | undefined;
  readonly statesMax?: number | undefined;
  readonly clock?: LimiterClock | undefined;
  readonly log?: OwnersLog | undefined;
  /** Where long quotas are written, so that they outlive a crash. Omitted: they do not. */
  readonly journal?: Pick<QuotaJournalOptions, 'stream' | 'replicas' | 'everyMs'> | undefined;
}

const HEARTBEAT_MS = 600;
/** In heartbeats: two may be lost and the third be late. */
const FENCE_BEATS = 3;
/** In heartbeats, 480 ms more than the fence: what `lease.ts` wants between the two. */
const DEAD_BEATS = 3.8;
const SWEEP_MS = 1_000;
const JOIN_MS_MAX = 10_000;
const JOURNAL_RETRY_MS = 300;
/** Then they begin as new ones: a limiter that decides nothing is no better. */
const RECALL_TRIES = 3;

const UNDECIDED: Decision = Object.freeze({ isAllowed: false, outcomes: [], isUndecided: true });

/** Joins the other replicas. Resolves when this one is a member, and decides what it owns. */
export async function openOwners(options: OwnersOptions): Promise<OwnersBackend> {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(options.id)) throw new RangeError(`id is ${JSON.stringify(options.id)}`);
  const backend = new OwnersBackend(options);
  await backend.start();
  return backend;
}

export class OwnersBackend implements Backend {
  readonly name = 'owners';
  readonly #options: OwnersOptions;
  readonly #estate: Estate;
  readonly #post: Post;
  readonly #membership: Membership;
  readonly #tenure: Tenure;
  readonly #routes: Routes;
  readonly #copies: Copies | undefined;
  readonly #conservatism: Conservatism;
  readonly #texts = new PolicyTexts();
  readonly #nowMs: () => number;
  #journal: QuotaJournal | undefined;
  #sweeper: NodeJS.Timeout | undefined;
  #hasLeft = false;
  #refusedCalls = 0;
  #remoteWishes = 0;

  constructor(options: OwnersOptions) {
    const { nats, id, clock = processClock(), statesMax, log, copyMs = 100, callMs = 50, moveMs = 250 } = options;
    this.#options = options;
    // Not the clock of the limits: a lease is about this process, whatever time its limits go by.
    const nowMs = () => performance.now();
    this.#nowMs = nowMs;
    this.#post = new Post(nats, id);
    this.#estate = new Estate({
      clock,
      statesMax,
      log,
      taken: (state) => this.#journal?.noteRecord(state),
      dropped: (slots) => this.#journal?.forget(slots),
    });
    this.#conservatism = new Conservatism({ restart: options.restart ?? 'auto', ledger: this.#estate.ledger, nowMs });
    this.#membership = this.#newMembership(options, nowMs);
    const [post, estate] = [this.#post, this.#estate];
    this.#tenure = new Tenure({
      me: id,
      post,
      estate,
      log,
      nowMs,
      recall: (orphans, stale, isFirst) => this.#recall(orphans, stale, isFirst),
      onGain: () => this.#gained(),
    });
    this.#routes = new Routes({
      me: id,
      post,
      texts: this.#texts,
      callMs,
      moveMs,
      nowMs,
      epoch: () => this.#membership.view.epoch,
      isConnected: () => this.#membership.isConnected,
      here: (wish) => this.#here(wish),
    });
    const isMine = (slot: number) => this.#tenure.ready[slot] === 1 && this.#membership.lease.isHeld;
    this.#copies =
      copyMs === 0
        ? undefined
        : new Copies({ me: id, post, estate, everyMs: copyMs, nowUs: () => clock.nowUs(), isMine });
  }

  #newMembership(options: OwnersOptions, nowMs: () => number): Membership {
    const { nats, id, bucket = 'plinth-ratelimit-members', replicas = 1, heartbeatMs = HEARTBEAT_MS, log } = options;
    return new Membership({
      nats,
      id,
      bucket,
      replicas,
      heartbeatMs,
      fenceMs: FENCE_BEATS * heartbeatMs,
      deadMs: DEAD_BEATS * heartbeatMs,
      clocks: { nowMs, wallMs: () => Date.now() },
      log,
      onView: (view) => this.#adopt(view),
      onLost: () => this.#lose(),
    });
  }

  async start(): Promise<void> {
    this.#post.open({
      call: (text) => this.#called(text),
      slots: (text) => this.#toldOfSlots(text),
    });
    await this.#openJournal();
    await this.#membership.start();
    this.#copies?.start();
    this.#sweeper = setInterval(() => {
      this.#estate.sweep();
      this.#copies?.sweep();
    }, SWEEP_MS).unref();
    const deadlineMs = this.#nowMs() + JOIN_MS_MAX;
    while (this.#tenure.readyCount < this.#tenure.ownedCount && this.#nowMs() < deadlineMs) await pause(5);
  }

  /** Before there is anything to decide: what is owned is read from it first. */
  async #openJournal(): Promise<void> {
    const { journal, nats, log } = this.#options;
    if (journal === undefined) return;
    const { ready } = this.#tenure;
    const mayWrite = (key: string) => ready[slotOf(key)] === 1 && this.#membership.lease.isHeld;
    for (let isFirst = true; this.#journal === undefined && !this.#hasLeft; isFirst = false) {
      try {
        this.#journal = await openQuotaJournal({ ...journal, nats, ledger: this.#estate.ledger, mayWrite, log });
      } catch (error) {
        if (isFirst) log?.warn('the journal of long quotas cannot be opened yet', { error: (error as Error).message });
        await pause(JOURNAL_RETRY_MS);
      }
    }
  }

  // ------------------------------------------------------------ what callers ask

  decide(asks: readonly Ask[]): Decision[] | Promise<Decision[]> {
    this.#assertReachable();
    const decisions: (Decision | Promise<Decision>)[] = [];
    let isLate = false;
    for (const { charges, mode } of asks) {
      const wish: Wish = { kind: 'decide', charges, mode };
      const reply = this.#here(wish);
      if (reply === MOVED) {
        isLate = true;
        decisions.push(this.#decideElsewhere(wish));
      } else decisions.push(reply === FULL ? UNDECIDED : (reply as Decision));
    }
    return isLate ? Promise.all(decisions).then((all) => this.#assertSome(all)) : (decisions as Decision[]);
  }

  async #decideElsewhere(wish: Extract<Wish, { kind: 'decide' }>): Promise<Decision> {
    assertSound(wish);
    const decision = await this.#routes.decide(wish);
    return isFailure(decision) ? UNDECIDED : decision;
  }

  /** One owner that does not answer is a few keys; no NATS is all that is not owned here. @throws BackendAway */
  #assertSome(decisions: Decision[]): Decision[] {
    if (this.#membership.isConnected || decisions.some(({ isUndecided }) => isUndecided !== true)) return decisions;
    throw away(UNHEARD);
  }

  give(charges: readonly Charge[]): void | Promise<void> {
    return this.#toEach({ kind: 'give', charges });
  }

  reset(charges: readonly Charge[]): void | Promise<void> {
    return this.#toEach({ kind: 'reset', charges });
  }

  block(charges: readonly Charge[], forMs: number): void | Promise<void> {
    return this.#toEach({ kind: 'block', charges, forMs });
  }

  grant(charge: Charge, want: number, share: number): Grant | Promise<Grant> {
    return this.#toOne({ kind: 'grant', charges: [charge], want, share });
  }

  hold({ charge, id, holdMs, priority }: HoldAsk): Hold | Promise<Hold> {
    return this.#toOne({ kind: 'hold', charges: [charge], id, holdMs, priority });
  }

  keep(charge: Charge, id: string, holdMs: number): boolean | Promise<boolean> {
    return this.#toOne({ kind: 'keep', charges: [charge], id, holdMs });
  }

  release(charge: Charge, id: string, outturn: Outturn): boolean | Promise<boolean> {
    return this.#toOne({ kind: 'release', charges: [charge], id, outturn });
  }

  claim(near: Charge, id: string, forMs: number): boolean | Promise<boolean> {
    return this.#toOne({ kind: 'claim', charges: [near], id, forMs });
  }

  #toOne<W extends Wish>(wish: W): Results[W['kind']] | Promise<Results[W['kind']]> {
    this.#assertReachable();
    const reply = this.#here(wish);
    if (reply !== MOVED) return resultOf(reply) as Results[W['kind']];
    assertSound(wish);
    return this.#routes.askOne(wish).then((heard) => resultOf(heard) as Results[W['kind']]);
  }

  #toEach(wish: Extract<Wish, { kind: 'give' | 'reset' | 'block' }>): void | Promise<void> {
    this.#assertReachable();
    const reply = this.#here(wish);
    if (reply !== MOVED) return void resultOf(reply);
    assertSound(wish);
    return this.#routes.askEach(wish).then((heard) => void resultOf(heard));
  }

  // ------------------------------------------------------------ deciding

  /** Does what is wished if this member decides all its keys now. */
  #here(wish: Wish): Reply {
    const { charges } = wish;
    const { ready } = this.#tenure;
    for (const { key } of charges) if (ready[slotOf(key)] === 0) return MOVED;
    if (!this.#membership.lease.isHeld && charges.length > 0) return MOVED;
    if (this.#conservatism.isOn) this.#conservatism.before(wish);
    const reply = this.#estate.perform(wish);
    this.#noteChanges(wish, reply);
    return reply;
  }

  #noteChanges(wish: Wish, reply: Reply): void {
    if (wish.kind === 'decide' && wish.mode === 'look') return;
    const isDenied = wish.kind === 'decide' && wish.mode === 'take' && !(reply as Decision).isAllowed;
    for (const charge of wish.charges) {
      // What was denied has changed nothing but, perhaps, the count of its denials.
      if (isDenied && charge.penalty === undefined) continue;
      this.#copies?.note(charge.key);
      this.#journal?.note(charge);
    }
  }

  /** A call of another member. */
  #called(text: string): string {
    const { epoch } = this.#membership.view;
    let call: ReturnType<typeof decodeCall>;
    try {
      call = decodeCall(text, this.#texts);
    } catch (error) {
      this.#refusedCalls += 1;
      return encodeRefusal(epoch, (error as Error).message);
    }
    this.#remoteWishes += call.wishes.length;
    // A caller that knows of later members than this one may be right that these keys are this one's; this one does
    // not know yet whether they are.
    const isBehind = call.epoch > epoch;
    const replies = call.wishes.map((wish) => (isBehind ? MOVED : this.#here(wish)));
    return encodeAnswer(epoch, call.wishes, replies);
  }

  // ------------------------------------------------------------ members come and go

  #adopt(view: View): void {
    const { id } = this.#options;
    const isMember = view.members.includes(id);
    if (!isMember && !this.#hasLeft) this.#tenure.lose();
    if (view.active.length === 0) return;
    const table = slotTable(view.active);
    this.#routes.adopt(view.members, table);
    if (!isMember) return;
    this.#tenure.adopt(view, table);
    this.#copies?.adopt(view, table);
    this.#options.log?.info('the replicas have changed', { ...view, owned: this.#tenure.ownedCount });
  }

  #lose(): void {
    this.#tenure.lose();
    this.#routes.stir();
  }

  /** What is left of the states of slots whose owner is gone: its copies, or what the journal remembers of them. */
  async #recall(orphans: readonly number[], stale: readonly number[], isFirst: boolean): Promise<void> {
    const fed = new Set(orphans.filter((slot) => this.#copies?.has(slot)));
    const outdated = stale.filter((slot) => fed.has(slot));
    if (outdated.length > 0) this.#estate.drop(new Set(outdated));
    this.#copies?.inherit(fed);
    const forgotten = orphans.filter((slot) => !fed.has(slot));
    if (!isFirst) this.#conservatism.begin(forgotten);
    if (this.#journal === undefined || forgotten.length === 0) return;
    const { log } = this.#options;
    for (let tries = 1; tries <= RECALL_TRIES; tries++) {
      try {
        const quotas = await this.#journal.replay(forgotten);
        log?.info('long quotas were read from the journal', { slots: forgotten.length, quotas });
        return;
      } catch (error) {
        log?.warn('the journal of long quotas cannot be read', { tries, error: (error as Error).message });
      }
    }
  }

  #gained(): void {
    this.#routes.stir();
    void this.#copies?.feed();
  }

  #toldOfSlots(text: string): string | Promise<string> {
    // The kind stands first, so that what is frequent is not read twice.
    if (!text.startsWith('{"kind":"copy"')) return this.#tenure.receive(text);
    return this.#copies?.receive(JSON.parse(text) as CopyMessage) ?? '0';
  }

  // ------------------------------------------------------------ how it is

  replicas(): number {
    return Math.max(1, this.#membership.view.active.length);
  }

  notReady(): string | undefined {
    if (this.#hasLeft) return 'it has left the other replicas';
    if (this.#membership.lease.isHeld) return undefined;
    return this.#membership.isConnected ? 'it is not a member of the replicas' : 'NATS is away';
  }

  /** @throws BackendAway when nothing can be decided, neither here nor elsewhere. */
  #assertReachable(): void {
    if (this.#membership.isConnected || this.#membership.lease.isHeld) return;
    throw new BackendAway('NATS is away, and has been for longer than a replica may decide alone');
  }

  /** Hands over all it owns and leaves. Calls are still brought to the others until `stop`. */
  async drain(): Promise<void> {
    const { log, id, drainMs = 5_000 } = this.#options;
    const others = this.#membership.view.active.filter((one) => one !== id);
    // Nobody is there to hand anything to; it goes on until it is stopped.
    if (others.length === 0 || this.#hasLeft) return;
    const startedMs = this.#nowMs();
    await this.#journal?.flush();
    await this.#membership.announceLeave();
    // Until this member has heard of it itself, it may still ask for slots.
    const isEmpty = () => this.#tenure.isEmpty && !this.#membership.view.active.includes(id);
    while (!isEmpty() && this.#nowMs() - startedMs < drainMs) await pause(5);
    const leftBehind = this.#tenure.tokenCount;
    this.#hasLeft = true;
    await this.#membership.leave();
    log?.info('handed over to the other replicas', { ms: Math.round(this.#nowMs() - startedMs), leftBehind });
  }

  async stop(): Promise<void> {
    this.#hasLeft = true;
    clearInterval(this.#sweeper);
    this.#copies?.stop();
    // While it still may.
    await this.#journal?.stop();
    await this.#membership.leave();
    this.#membership.stop();
    this.#post.close();
  }

  metrics(): string {
    const { view, lease } = this.#membership;
    const { batches, wishCount, movedCount } = this.#routes;
    const bounds = [1, 4, 16, 64, 256];
    const upTo = bounds.map((le, at) => {
      const count = batches.slice(0, at + 1).reduce((sum, one) => sum + one, 0);
      return `plinth_ratelimit_owners_batch_bucket{le="${le}"} ${count}`;
    });
    const sent = batches.reduce((sum, one) => sum + one, 0);
    return [
      gauge('members', 'Replicas that divide the keys.', view.active.length),
      gauge('epoch', 'Revision of the latest change of the members.', view.epoch),
      gauge('leased', '1 while this replica may decide.', lease.isHeld ? 1 : 0),
      gauge('slots', 'Slots of 1,024 that are decided here.', this.#tenure.readyCount),
      gauge(
        'slots_pending',
        'Slots that should be decided here and are on their way.',
        this.#tenure.ownedCount - this.#tenure.readyCount,
      ),
      gauge('states', 'States of keys kept here.', this.#estate.ledger.size),
      gauge('copies', 'Keys of others that are kept here for the case that they crash.', this.#copies?.size ?? 0),
      gauge('copy_lag_keys', 'Changed keys that are still to be copied.', this.#copies?.lag ?? 0),
      counter('moved', 'Calls that were asked again, for their keys were changing hands.', movedCount),
      counter('refused', 'Calls of others that could not be read.', this.#refusedCalls),
      counter('remote', 'Wishes of other replicas.', this.#remoteWishes),
      '# HELP plinth_ratelimit_owners_batch Wishes in a call to another replica.',
      '# TYPE plinth_ratelimit_owners_batch histogram',
      ...upTo,
      `plinth_ratelimit_owners_batch_bucket{le="+Inf"} ${sent}`,
      `plinth_ratelimit_owners_batch_sum ${wishCount}`,
      `plinth_ratelimit_owners_batch_count ${sent}`,
      ...(this.#journal === undefined ? [] : [this.#journal.metrics()]),
    ].join('\n');
  }
}

const gauge = (name: string, help: string, value: number): string =>
  `# HELP plinth_ratelimit_owners_${name} ${help}\n# TYPE plinth_ratelimit_owners_${name} gauge\nplinth_ratelimit_owners_${name} ${value}`;

const counter = (name: string, help: string, value: number): string =>
  `# HELP plinth_ratelimit_owners_${name}_total ${help}\n# TYPE plinth_ratelimit_owners_${name}_total counter\nplinth_ratelimit_owners_${name}_total ${value}`;

/** @throws BackendAway when there is no result. */
function resultOf(heard: Outcome): unknown {
  if (isFailure(heard)) throw away(heard);
  return heard;
}

function away(failure: typeof UNHEARD | typeof UNKNOWN | typeof FULL): BackendAway {
  if (failure === FULL) return new BackendAway('the owner of the key has no room for another one');
  if (failure === UNHEARD) return new BackendAway('the owner of the key cannot be reached; nothing was counted');
  return new BackendAway('the owner of the key did not answer in time');
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
