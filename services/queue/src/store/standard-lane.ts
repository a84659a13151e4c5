/**
 * The standard lane: BullMQ 6, in batches.
 *
 * The queue is BullMQ's, key for key, so native workers and producers in any language, and bull-board, work on the same
 * queues. The common way of a job, from its enqueue to its lease and its ack, goes in batches by two scripts of the lane
 * (`standard/turn-script.ts`), which write what BullMQ's write; every other change of a job's state is one of BullMQ's own
 * scripts, called as its `Worker` and `Queue` call them. What the lane adds (lease tokens and deadlines, turns between
 * groups, totals) is beside it.
 *
 * What BullMQ cannot promise, it does not promise here:
 * - Delays are counted by the clock of whoever enqueues or fails a job, and of whoever asks; leases by that of Redis.
 * - A debounced job has a new id with each enqueue.
 * - A rate is a window and not a bucket: `burst` jobs in the time that the rate needs for them.
 * - On a queue with groups, priority is an advantage of some turns and not an absolute one.
 * - Native workers bury a job that two of them lost, unless `maxStalledCount` tells them how many the queue allows. What
 *   the lane has lost is counted apart from that; locks outlive leases by far, so only the lane takes leases back.
 * - Native workers count for no group, keep no history, and do not hear of timeouts; totals do not count their jobs' ends.
 */
import { Queue, RedisConnection } from 'bullmq';
import type { Added, JobState, JobView, NewJob, Renewal, Renewed, Settled, Settlement } from '../core/job.ts';
import { type QueueKeys, queueKeys } from './fast/keys.ts';
import { runScript, type ScriptClient } from './fast/scripts.ts';
import { addOnce, type OnceRooms } from './idempotency-keys.ts';
import type {
  FlowNode,
  GroupLimits,
  JobFilter,
  JobPage,
  Lane,
  LeaseAnswer,
  LeaseAsk,
  QueueLimits,
  QueueStats,
  RedriveFilter,
  Ticked,
} from './lane.ts';
import { type RedisSettings, RedisStore, StoreAway } from './redis.ts';
import { addFlow, addJobs, letGoCalls } from './standard/adding.ts';
import { promote } from './standard/coming-due.ts';
import * as controlling from './standard/controlling.ts';
import { cancel, settle } from './standard/ending.ts';
import { lease, turn } from './standard/leasing.ts';
import { list, stats, view } from './standard/looking.ts';
import { teach } from './standard/own-scripts.ts';
import { QueueHandle } from './standard/queue-handle.ts';
import { queuePlace, queuesKey } from './standard/queue-place.ts';
import { renew } from './standard/renewing.ts';
import { tick } from './standard/ticking.ts';

/** How long `open` waits for Redis. */
const OPEN_MS = 10_000;

export interface StandardLaneRooms {
  readonly store: RedisStore;
  /** As native clients are told. Default `bull`. */
  readonly prefix?: string | undefined;
  /** 0 ≤ random < 1, for jitter. */
  readonly random: () => number;
}

export interface StandardLaneOptions extends Partial<RedisSettings> {
  readonly url: string;
  readonly prefix?: string | undefined;
}

export class StandardLane implements Lane {
  readonly kind = 'standard';
  readonly #store: RedisStore;
  readonly #bullmq: RedisConnection;
  readonly #prefix: string;
  readonly #random: () => number;
  readonly #handles = new Map<string, QueueHandle>();
  #ownStore: RedisStore | undefined;

  /** @param rooms - The store may be shared; whoever made it closes it. */
  constructor({ store, prefix = 'bull', random }: StandardLaneRooms) {
    this.#store = store;
    this.#prefix = prefix;
    this.#random = random;
    teach(store.client);
    this.#bullmq = new RedisConnection(store.client, { shared: true, blocking: false });
    // Errors of the connection are told by the store, and by each call.
    this.#bullmq.on('error', () => {});
  }

  /** A lane with a connection of its own. @throws StoreAway, RangeError as `RedisStore.ready`. */
  static async open({ prefix, ...settings }: StandardLaneOptions): Promise<StandardLane> {
    const store = new RedisStore({ commandTimeoutMs: 5_000, connectTimeoutMs: 2_000, ...settings });
    try {
      await store.ready(OPEN_MS);
    } catch (error) {
      store.close();
      throw error;
    }
    const lane = new StandardLane({ store, prefix, random: () => Math.random() });
    lane.#ownStore = store;
    return lane;
  }

  /** What native clients call this queue, with the lane's prefix. */
  nativeName(queue: string): string {
    return queuePlace(this.#prefix, queue).name;
  }

  /** A queue as BullMQ has it, on the lane's own connection, which the lane closes. Nothing is written by making it. */
  nativeQueue(queue: string): Queue {
    const options = { connection: {}, prefix: this.#prefix, skipMetasUpdate: true };
    const native = new Queue(this.nativeName(queue), options, () => this.#handle(queue).backend());
    // As those of the connection: told by each call.
    return native.on('error', () => {});
  }

  async configure(queue: string, limits: QueueLimits, groupDefault: GroupLimits): Promise<void> {
    await this.#enlist(queue);
    await this.#ask(() => controlling.configure(this.#handle(queue), limits, groupDefault));
  }

  async configureGroup(queue: string, group: string, limits: GroupLimits | undefined): Promise<void> {
    await this.#enlist(queue);
    await this.#ask(() => controlling.configureGroup(this.#handle(queue), group, limits));
  }

  async add(queue: string, jobs: readonly NewJob[]): Promise<Added[]> {
    const handle = this.#handle(queue);
    const isOnce = jobs.some(({ once }) => once !== undefined);
    const add = () => (isOnce ? addOnce(this.#onceRooms(handle), jobs) : addJobs(handle, jobs));
    const [added] = await Promise.all([this.#ask(add), this.#enlist(queue)]);
    return added;
  }

  async addFlow(queue: string, flow: FlowNode): Promise<{ id: string; childIds: readonly string[] }> {
    await this.#enlist(queue);
    return this.#ask(() => addFlow(this.#handle(queue), flow, this.#prefix));
  }

  lease(queue: string, ask: LeaseAsk): Promise<LeaseAnswer> {
    return this.#ask(() => lease(this.#handle(queue), ask));
  }

  turn(
    queue: string,
    settlements: readonly Settlement[],
    ask: LeaseAsk,
  ): Promise<LeaseAnswer & { settled: Settled[] }> {
    return this.#ask(() => turn(this.#handle(queue), settlements, ask, this.#random));
  }

  async settle(queue: string, settlements: readonly Settlement[]): Promise<Settled[]> {
    return this.#ask(() => settle(this.#handle(queue), settlements, this.#random));
  }

  renew(queue: string, renewals: readonly Renewal[]): Promise<Renewed[]> {
    return this.#ask(() => renew(this.#handle(queue), renewals));
  }

  get(queue: string, id: string): Promise<JobView | undefined> {
    return this.#ask(() => view(this.#handle(queue), id));
  }

  list(queue: string, filter: JobFilter, page: { limit: number; cursor?: string | undefined }): Promise<JobPage> {
    return this.#ask(() => list(this.#handle(queue), filter, page));
  }

  stats(queue: string): Promise<QueueStats> {
    return this.#ask(() => stats(this.#handle(queue)));
  }

  async queues(): Promise<string[]> {
    return (await this.#ask(() => this.#store.client.smembers(queuesKey(this.#prefix)))).sort();
  }

  cancel(queue: string, ids: readonly string[], reason: string): Promise<(JobState | undefined)[]> {
    return this.#ask(() => cancel(this.#handle(queue), ids, reason));
  }

  pause(queue: string, group?: string): Promise<void> {
    return this.#ask(() => controlling.pause(this.#handle(queue), group));
  }

  resume(queue: string, group?: string): Promise<void> {
    return this.#ask(() => controlling.resume(this.#handle(queue), group));
  }

  drain(queue: string, isScheduledToo: boolean): Promise<number> {
    return this.#ask(() => controlling.drain(this.#handle(queue), isScheduledToo));
  }

  purge(queue: string, states: readonly ('completed' | 'dead' | 'cancelled')[]): Promise<number> {
    return this.#ask(() => controlling.purge(this.#handle(queue), states));
  }

  async remove(queue: string, isForced: boolean): Promise<boolean> {
    if (!(await this.#ask(() => controlling.remove(this.#handle(queue), isForced)))) return false;
    this.#handles.delete(queue);
    const { k, ks, kl } = this.#onceKeys(queue);
    await this.#ask(() => this.#store.client.unlink(k, ks, kl));
    await this.#ask(() => this.#store.client.srem(queuesKey(this.#prefix), queue));
    return true;
  }

  redrive(queue: string, filter: RedriveFilter, max: number): Promise<string[]> {
    return this.#ask(() => controlling.redrive(this.#handle(queue), filter, max));
  }

  promote(queue: string, id: string): Promise<boolean> {
    return this.#ask(() => promote(this.#handle(queue), id));
  }

  tick(queue: string): Promise<Ticked> {
    return this.#ask(() => tick(this.#handle(queue), this.#random));
  }

  notReady(): string | undefined {
    return this.#store.notReady();
  }

  async stop(): Promise<void> {
    this.#handles.clear();
    await this.#bullmq.close();
    this.#ownStore?.close();
  }

  /**
   * Most operations are several steps: once the first was sent, what Redis refuses is no proof that nothing was done.
   * @throws StoreAway
   */
  async #ask<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const away = this.#store.notReady();
    if (away !== undefined) throw new StoreAway(away, false);
    try {
      return await this.#store.ask(work);
    } catch (error) {
      if (!(error instanceof StoreAway) || error.isOutcomeUnknown) throw error;
      throw new StoreAway(error.message, true, { cause: error });
    }
  }

  #onceRooms(handle: QueueHandle): OnceRooms {
    const keys = this.#onceKeys(handle.place.queue);
    return {
      run: (script, args) => runScript(this.#store.client as unknown as ScriptClient, script, keys, args),
      add: (jobs) => addJobs(handle, jobs),
      stateOf: async (id) => (await view(handle, id))?.state,
      letGo: (calls) => letGoCalls(handle, calls),
    };
  }

  #onceKeys(queue: string): QueueKeys {
    return queueKeys(queue, `${this.#prefix}:plinth:`);
  }

  /** Each time: another replica may have removed the queue. */
  async #enlist(queue: string): Promise<void> {
    await this.#ask(() => this.#store.client.sadd(queuesKey(this.#prefix), queue));
  }

  #handle(queue: string): QueueHandle {
    let handle = this.#handles.get(queue);
    if (handle === undefined) {
      const connection = { redis: this.#store.client, bullmq: this.#bullmq, prefix: this.#prefix };
      handle = new QueueHandle(queuePlace(this.#prefix, queue), connection);
      this.#handles.set(queue, handle);
    }
    return handle;
  }
}
