/**
 * Limits shared through Redis 6.2 or Valkey 7.2, or newer: alone, behind sentinels, or a cluster. Each decision is one
 * script, so exact; each is one round trip, shared with all others of the same turn.
 *
 * What is particular:
 * - Time is the server's. A failover forgets what the new primary had not heard of: some milliseconds where the old one
 *   died, and a second or two where `SENTINEL FAILOVER` let it go on answering (`min-replicas-to-write 1` bounds that).
 * - On a cluster an ask over several slots is taken slot by slot and given back where one of them denies.
 * - `adaptive` limits learn from the latency this replica sees, and hold their places here: they are not shared.
 * - Units given up as lost (a timeout, a lost connection) stay taken: `BackendAway` never makes more than the limit.
 */
import { randomUUID } from 'node:crypto';
import { type Charge, type Decision, type Grant, Holds, HoldsFull, processClock } from '@plinth/limiter';
import { redisAddress } from '@plinth/redis-address';
import { type Ask, type Backend, BackendAway, type Hold, type HoldAsk, type Outturn } from './backend.ts';
import { AMEND } from './redis/amend-script.ts';
import { neverOr } from './redis/ask-batch.ts';
import { Asker, runByCalendar } from './redis/asker.ts';
import { ChargeCoder } from './redis/charge-code.ts';
import { DECIDE } from './redis/decide-script.ts';
import { HOLD } from './redis/hold-script.ts';
import { RedisLink } from './redis/link.ts';
import { PACED } from './redis/paced-script.ts';
import { type Part, partsOf } from './redis/parts.ts';
import { Places, type ReplicaCount } from './redis/places.ts';

/** Places whose holders are gone are freed as often; deciding frees them too. */
const SWEEP_MS = 1_000;

export interface RedisBackendOptions {
  /** See `redisAddress`. */
  readonly url: string;
  /** Instead of those in the URL. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly sentinelPassword?: string | undefined;
  /** What the names of all keys begin with. Default `rl`. */
  readonly prefix?: string | undefined;
  /** Until an answer must be here, in milliseconds. Default 5. */
  readonly commandTimeoutMs?: number | undefined;
  /** Default 500. */
  readonly connectTimeoutMs?: number | undefined;
  /** The wall clock, in milliseconds: only ever a first guess of the server's day. */
  readonly now?: (() => number) | undefined;
  /** Told when the connection is ready, closed, or being made again. */
  readonly onChange?: ((state: string) => void) | undefined;
  /** For tests that own the server's time. */
  readonly scripts?: RedisScripts | undefined;
}

const SCRIPTS = { paced: PACED, decide: DECIDE, amend: AMEND, hold: HOLD };
export type RedisScripts = typeof SCRIPTS;

export class RedisBackend implements Backend {
  readonly name = 'redis';
  readonly #link: RedisLink;
  readonly #coder: ChargeCoder;
  readonly #scripts: RedisScripts;
  readonly #asker: Asker;
  readonly #places: Places;
  readonly #replicas: ReplicaCount;
  /** Of `adaptive` limits. */
  readonly #holds = new Holds({ clock: processClock() });
  readonly #sweeper: NodeJS.Timeout;

  /** Connects in the background; until then all is `BackendAway`. @throws RangeError for a URL that is none. */
  constructor(options: RedisBackendOptions) {
    const { now = Date.now, prefix, commandTimeoutMs = 5, connectTimeoutMs = 500 } = options;
    const onChange = (state: string) => {
      if (state === 'ready') void this.#replicas.beat();
      options.onChange?.(state);
    };
    const address = redisAddress(options.url);
    this.#scripts = options.scripts ?? SCRIPTS;
    this.#link = new RedisLink({ ...options, address, commandTimeoutMs, connectTimeoutMs, onChange });
    this.#coder = new ChargeCoder({ now, prefix });
    const rooms = { link: this.#link, coder: this.#coder };
    this.#asker = new Asker({ ...rooms, scripts: this.#scripts });
    this.#places = new Places({ ...rooms, script: this.#scripts.hold });
    this.#replicas = this.#places.countReplicas(randomUUID());
    this.#sweeper = setInterval(() => this.#holds.sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** @throws BackendAway */
  decide(asks: readonly Ask[]): Promise<Decision[]> {
    const reason = this.#link.notReady();
    if (reason !== undefined) return Promise.reject(new BackendAway(reason));
    if (asks.length === 1) return this.#decide(asks[0]!).then((decision) => [decision]);
    return Promise.all(asks.map((ask) => this.#decide(ask)));
  }

  /** @throws BackendAway */
  async give(charges: readonly Charge[]): Promise<void> {
    await this.#each(charges, (part) => this.#give(part.charges));
  }

  /** @throws BackendAway */
  async reset(charges: readonly Charge[]): Promise<void> {
    await this.#each(charges, (part) => this.#link.remove(part.charges.map((charge) => this.#coder.keyOf(charge))));
  }

  /** @throws BackendAway */
  async block(charges: readonly Charge[], forMs: number): Promise<void> {
    await this.#each(charges, (part) => this.#amend('block', part.charges, [forMs * 1_000, 0]));
  }

  /** @throws BackendAway */
  async grant(charge: Charge, want: number, share: number): Promise<Grant> {
    const answer = await this.#amend('grant', [charge], [want, share]);
    const [units, remaining, retryUs, resetUs, lifeUs] = answer as [number, number, number, number, number];
    const life = lifeUs < 0 ? {} : { lifeUs };
    return { units, remaining, retryAfterUs: neverOr(retryUs), resetUs, ...life };
  }

  /** @throws BackendAway also where there is no room for another place of `adaptive`. */
  hold(ask: HoldAsk): Hold | Promise<Hold> {
    if (!isHere(ask.charge)) return this.#places.hold(ask);
    try {
      return this.#holds.hold(ask);
    } catch (error) {
      if (error instanceof HoldsFull) throw new BackendAway(error.message, { cause: error });
      throw error;
    }
  }

  keep(charge: Charge, id: string, holdMs: number): boolean | Promise<boolean> {
    return isHere(charge) ? this.#holds.keep(charge, id, holdMs) : this.#places.keep(charge, id, holdMs);
  }

  release(charge: Charge, id: string, outturn: Outturn): boolean | Promise<boolean> {
    return isHere(charge) ? this.#holds.release(charge, id, outturn) : this.#places.release(charge, id);
  }

  /** @throws BackendAway */
  claim(near: Charge, id: string, forMs: number): Promise<boolean> {
    return this.#link.setIfAbsent(this.#coder.claimKeyOf(near, id), Math.max(1, Math.ceil(forMs)));
  }

  replicas(): number {
    return this.#replicas.count;
  }

  notReady(): string | undefined {
    return this.#link.notReady();
  }

  metrics(): string {
    return [
      '# HELP plinth_ratelimit_redis_ready Whether there is a connection to Redis.',
      '# TYPE plinth_ratelimit_redis_ready gauge',
      `plinth_ratelimit_redis_ready ${this.notReady() === undefined ? 1 : 0}`,
      '# HELP plinth_ratelimit_redis_unanswered Commands that Redis has not answered yet, those given up included.',
      '# TYPE plinth_ratelimit_redis_unanswered gauge',
      `plinth_ratelimit_redis_unanswered ${this.#link.unanswered}`,
      '# HELP plinth_ratelimit_redis_replicas Replicas of this service that share the limits.',
      '# TYPE plinth_ratelimit_redis_replicas gauge',
      `plinth_ratelimit_redis_replicas ${this.replicas()}`,
      '',
    ].join('\n');
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    await this.#replicas.stop();
    this.#link.close();
  }

  // ------------------------------------------------------------ slots of a cluster

  #decide(ask: Ask): Promise<Decision> {
    if (ask.charges.length === 0) return Promise.resolve({ isAllowed: true, outcomes: [] });
    if (!this.#link.isCluster) return this.#asker.ask(ask, 0);
    const parts = this.#partsOf(ask.charges);
    return parts.length === 1 ? this.#asker.ask(ask, parts[0]!.slot) : this.#decideApart(ask, parts);
  }

  /** Takes slot by slot and gives back where one of them denies. @throws BackendAway */
  async #decideApart({ charges, mode }: Ask, parts: readonly Part[]): Promise<Decision> {
    const asked = parts.map((part) => this.#asker.ask({ charges: part.charges, mode }, part.slot));
    const answers = await Promise.allSettled(asked);
    const isAllowed = answers.every((answer) => answer.status === 'fulfilled' && answer.value.isAllowed);
    const undone = answers.map((answer, at) => {
      if (isAllowed || mode !== 'take' || answer.status === 'rejected' || !answer.value.isAllowed) return undefined;
      // What cannot be given back stays taken, and the answer is the one that was denied by.
      return this.#undo(parts[at]!, answer.value).catch(() => undefined);
    });
    const outcomes: Decision['outcomes'] = new Array(charges.length);
    for (const [at, answer] of answers.entries()) {
      // Whoever cannot be told in time does not wait for what is given back.
      if (answer.status === 'rejected') throw answer.reason;
      await undone[at];
      for (const [number, outcome] of answer.value.outcomes.entries()) outcomes[parts[at]!.places[number]!] = outcome;
    }
    return { isAllowed, outcomes };
  }

  /** Gives back what one part took of a request that is denied, and says how it stands then. @throws BackendAway */
  async #undo({ charges }: Part, { outcomes }: Decision): Promise<void> {
    const taken = charges.map((charge, at) => (outcomes[at]!.isAllowed ? charge : { ...charge, cost: 0 }));
    const stands = await this.#give(taken);
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.isBlocked) continue;
      outcome.remaining = stands[2 * at]!;
      outcome.resetUs = stands[2 * at + 1]!;
    }
  }

  #partsOf(charges: readonly Charge[]): Part[] {
    return partsOf(charges, (charge) => (this.#link.isCluster ? this.#link.slotOf(this.#coder.keyOf(charge)) : 0));
  }

  #each(charges: readonly Charge[], work: (part: Part) => Promise<unknown>): Promise<unknown> {
    return Promise.all(this.#partsOf(charges).map(work));
  }

  #give(charges: readonly Charge[]): Promise<readonly number[]> {
    return this.#amend('give', charges, [0, 0]);
  }

  #amend(
    deed: 'give' | 'block' | 'grant',
    charges: readonly Charge[],
    numbers: readonly [number, number],
  ): Promise<readonly number[]> {
    return runByCalendar({ link: this.#link, coder: this.#coder }, this.#scripts.amend, () => {
      const args = [deed, String(numbers[0]), String(numbers[1])];
      for (const charge of charges) {
        this.#coder.push(args, charge);
        if (deed === 'give') args.push(String(charge.agoUs ?? 0));
      }
      return { keys: charges.map((charge) => this.#coder.keyOf(charge)), args };
    });
  }
}

/** `adaptive` limits follow what this replica sees. */
const isHere = ({ policy }: Charge): boolean => policy.name === 'adaptive';
