/**
 * The fast lane: our own scripts on Redis or Valkey, each of which moves a whole batch.
 *
 * `fast/keys.ts` says where jobs are, `fast/record.ts` how they are written, `fast/lua/` who is served and how jobs end,
 * `fast/machine.ts` moves them, `fast/control/` is what people do to a queue and `fast/views/` what they see of it.
 */
import type { JobState, JobView } from '../core/job.ts';
import * as control from './fast/control/control.ts';
import { addFlowAt } from './fast/control/flow.ts';
import { FastMachine, type MachineRooms } from './fast/machine.ts';
import * as views from './fast/views/views.ts';
import type { FlowNode, JobFilter, JobPage, Lane, QueueStats, RedriveFilter } from './lane.ts';
import { type RedisSettings, RedisStore } from './redis.ts';

/** How long `open` waits for Redis. */
const OPEN_MS = 10_000;

export interface FastLaneOptions extends Partial<RedisSettings> {
  readonly url: string;
  readonly prefix?: string | undefined;
}

export class FastLane extends FastMachine implements Lane {
  readonly kind = 'fast';
  readonly #store: RedisStore;

  /** @param rooms - The store is closed by `stop`. */
  constructor(rooms: MachineRooms) {
    super(rooms);
    this.#store = rooms.store;
  }

  /** A lane with a connection of its own. @throws StoreAway, RangeError as `RedisStore.ready`. */
  static async open({ prefix, ...settings }: FastLaneOptions): Promise<FastLane> {
    const store = new RedisStore({ commandTimeoutMs: 5_000, connectTimeoutMs: 2_000, ...settings });
    try {
      await store.ready(OPEN_MS);
    } catch (error) {
      store.close();
      throw error;
    }
    return new FastLane({ store, prefix, random: () => Math.random() });
  }

  async addFlow(queue: string, flow: FlowNode): Promise<{ id: string; childIds: readonly string[] }> {
    await this.listQueue(queue);
    return addFlowAt(this.#at(queue), flow);
  }

  get(queue: string, id: string): Promise<JobView | undefined> {
    return views.jobAt(this.#at(queue), id);
  }

  list(queue: string, filter: JobFilter, page: { limit: number; cursor?: string | undefined }): Promise<JobPage> {
    return views.listAt(this.#at(queue), filter, page);
  }

  stats(queue: string): Promise<QueueStats> {
    return views.statsAt(this.#at(queue));
  }

  cancel(queue: string, ids: readonly string[], reason: string): Promise<(JobState | undefined)[]> {
    return control.cancelAt(this.#at(queue), ids, reason);
  }

  pause(queue: string, group?: string): Promise<void> {
    return control.pauseAt(this.#at(queue), true, group);
  }

  resume(queue: string, group?: string): Promise<void> {
    return control.pauseAt(this.#at(queue), false, group);
  }

  drain(queue: string, isScheduledToo: boolean): Promise<number> {
    return control.drainAt(this.#at(queue), isScheduledToo);
  }

  purge(queue: string, states: readonly ('completed' | 'dead' | 'cancelled')[]): Promise<number> {
    return control.purgeAt(this.#at(queue), states);
  }

  async remove(queue: string, isForced: boolean): Promise<boolean> {
    const isRemoved = await control.removeAt(this.#at(queue), isForced);
    if (isRemoved) await this.unlistQueue(queue);
    return isRemoved;
  }

  redrive(queue: string, filter: RedriveFilter, max: number): Promise<string[]> {
    return control.redriveAt(this.#at(queue), filter, max);
  }

  promote(queue: string, id: string): Promise<boolean> {
    return control.promoteAt(this.#at(queue), id);
  }

  notReady(): string | undefined {
    return this.#store.notReady();
  }

  async stop(): Promise<void> {
    this.#store.close();
  }

  #at(queue: string): views.QueueAt {
    const keys = this.keysOf(queue);
    return { queue, run: (script, args) => this.#store.run(script, keys, args) };
  }
}
