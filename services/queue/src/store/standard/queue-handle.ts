/** One queue as all parts of the lane work on it: its keys, BullMQ's operations on it, its settings. */
import { type RedisConnection, RedisQueueBackend } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import type { GroupLimits, QueueLimits } from '../lane.ts';
import { type OptionWords, optionWords } from './job-record.ts';
import type { QueuePlace } from './queue-place.ts';

/**
 * A lock lives so much longer than the lease that it stands for: the lane takes leases away by its own list of
 * deadlines, and an ack that comes before that still counts. Native workers find the lock gone this much later, and then
 * count a stall as BullMQ does, which by default buries a job at the second: so it is longer than the service is away
 * when it is started anew.
 */
export const LOCK_GRACE_MS = 300_000;
/** The same until the lease is written down: if the process dies before, the lock is all there is of it. */
const OPENING_GRACE_MS = 5_000;
/** Other replicas hear of new settings within this. */
const SETTINGS_AGE_MS_MAX = 500;
/** Workers, with the length of their leases, that a queue keeps a backend for; it is quickly made. */
const BACKENDS_MAX = 64;
/** Different options that are kept read, of a few hundred bytes each. */
const WORDS_MAX = 1_000;
const WORDS_TEXT_MAX = 2_048;
const STALLED_INTERVAL_MS = 30_000;

export const NO_LIMITS: QueueLimits = { jobsMax: 0, concurrency: 0, ratePerSecond: 0, burst: 0, maxStalls: 5 };
export const EVEN_GROUPS: GroupLimits = { weight: 1, concurrency: 0, ratePerSecond: 0, burst: 0 };

export interface Settings {
  readonly limits: QueueLimits;
  readonly groupDefault: GroupLimits;
  readonly groups: ReadonlyMap<string, GroupLimits>;
  /** Turns between groups are taken: some job or some setting has named a group. */
  readonly isFair: boolean;
}

export class QueueHandle {
  readonly place: QueuePlace;
  readonly redis: Redis | Cluster;
  /** Jobs that turned out to be expired when they were about to be leased, until a tick reports them. */
  readonly expiredAtLease: string[] = [];
  sweptAtMs = 0;
  #settings: { readonly readAtMs: number; readonly settings: Promise<Settings> } | undefined;
  readonly #backends = new Map<string, RedisQueueBackend>();
  readonly #words = new Map<string, OptionWords>();
  /** Of the script `TURN`. */
  readonly turnKeys: readonly string[];
  readonly #connection: RedisConnection;
  readonly #prefix: string;

  constructor(place: QueuePlace, connection: { redis: Redis | Cluster; bullmq: RedisConnection; prefix: string }) {
    this.place = place;
    this.redis = connection.redis;
    this.#connection = connection.bullmq;
    this.#prefix = connection.prefix;
    this.turnKeys = turnKeysOf(place);
  }

  /** BullMQ's operations, with locks for leases of this length, for this worker. */
  backend(leaseMs = 0, worker = ''): RedisQueueBackend {
    const key = `${leaseMs} ${worker}`;
    let backend = this.#backends.get(key);
    if (backend === undefined) {
      if (this.#backends.size >= BACKENDS_MAX) this.#backends.clear();
      backend = this.#newBackend(leaseMs, worker);
      this.#backends.set(key, backend);
    }
    return backend;
  }

  #newBackend(leaseMs: number, worker: string): RedisQueueBackend {
    const { name, keys, base } = this.place;
    const options = {
      connection: {},
      prefix: this.#prefix,
      lockDuration: leaseMs + OPENING_GRACE_MS,
      ...(worker !== '' && { name: worker }),
      stalledInterval: STALLED_INTERVAL_MS,
      // Of jobs that native workers lost; the lane counts its own stalls.
      maxStalledCount: NO_LIMITS.maxStalls,
    };
    return new RedisQueueBackend(this.#connection, name, keys, (type) => base + type, options, undefined, false);
  }

  jobKey(id: string): string {
    return this.place.base + id;
  }

  lockKey(id: string): string {
    return `${this.place.base}${id}:lock`;
  }

  async settings(): Promise<Settings> {
    const nowMs = Date.now();
    if (this.#settings === undefined || nowMs - this.#settings.readAtMs > SETTINGS_AGE_MS_MAX) {
      this.#settings = { readAtMs: nowMs, settings: this.#readSettings() };
      this.#settings.settings.catch(() => this.forgetSettings());
    }
    return this.#settings.settings;
  }

  forgetSettings(): void {
    this.#settings = undefined;
  }

  async #readSettings(): Promise<Settings> {
    const { queue, fair, ...groups } = await this.redis.hgetall(this.place.own.settings);
    const stored = queue === undefined ? {} : (JSON.parse(queue) as Partial<Settings>);
    return {
      limits: stored.limits ?? NO_LIMITS,
      groupDefault: stored.groupDefault ?? EVEN_GROUPS,
      groups: new Map(
        Object.entries(groups).map(([field, text]) => [
          decodeURIComponent(field.slice(2)),
          JSON.parse(text!) as GroupLimits,
        ]),
      ),
      isFair: fair === '1',
    };
  }

  /** Options of jobs are mostly alike, so they are read once. */
  readonly wordsOf = (text: string): OptionWords => {
    const known = this.#words.get(text);
    if (known !== undefined) return known;
    const words = optionWords(text);
    if (text.length > WORDS_TEXT_MAX) return words;
    if (this.#words.size >= WORDS_MAX) this.#words.clear();
    this.#words.set(text, words);
    return words;
  };
}

function turnKeysOf({ keys, own }: QueuePlace): string[] {
  const theirs = ['wait', 'active', 'prioritized', 'events', 'stalled', 'limiter', 'delayed', 'meta', 'pc', 'marker'];
  return [
    ...[...theirs, 'completed'].map((name) => keys[name]!),
    ...[own.token, own.lease, own.deadlines, own.running, own.parked, own.paused, own.settings, own.totals],
    ...[own.expiries, own.retrying],
  ];
}

/** The field of a group in the lane's hashes, and in a lease's record (without its first two characters). */
export const groupField = (group: string): string => `g:${encodeURIComponent(group)}`;

/** A group as the scripts OPEN and UNPARK take it. */
export function groupWords(settings: Settings, group: string): (string | number)[] {
  const { concurrency, ratePerSecond, burst } = settings.groups.get(group) ?? settings.groupDefault;
  return [
    group,
    groupField(group),
    concurrency,
    ratePerSecond,
    burst > 0 ? burst : Math.max(1, Math.ceil(ratePerSecond)),
  ];
}
