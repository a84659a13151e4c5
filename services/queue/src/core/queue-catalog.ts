/** Which queues there are, and what holds for them: the registry and the lanes kept in step. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@plinth/problem';
import type { GroupLimits, Lane } from '../store/lane.ts';
import {
  DEFAULT_GROUPS,
  DEFAULT_LIMITS,
  type LaneKind,
  type QueueChange,
  type QueueDefinition,
  type Registry,
  SEEN_BY_ALL_MS,
} from './queue-definition.ts';
import type { Found } from './queue-room.ts';
import { callStore, storeProblem } from './store-fault.ts';

export interface QueueCatalogOptions {
  lanes: Readonly<Record<LaneKind, Lane>>;
  registry: Registry;
  /** Of queues whose making says nothing about it. */
  defaultLane: LaneKind;
  queuesMax: number;
}

/** Beyond this a queue's name would not fit into keys, subjects and metrics. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

export class QueueCatalog {
  readonly #options: QueueCatalogOptions;

  constructor(options: QueueCatalogOptions) {
    this.#options = options;
  }

  get(queue: string): Promise<QueueDefinition | undefined> {
    return this.#registry(() => this.#options.registry.get(queue));
  }

  list(): Promise<QueueDefinition[]> {
    return this.#registry(() => this.#options.registry.list());
  }

  async find(queue: string): Promise<Found | undefined> {
    const definition = await this.get(queue);
    return definition && { definition, lane: this.#options.lanes[definition.lane] };
  }

  /** @throws Problem `queue_not_found`. */
  async need(queue: string): Promise<Found> {
    const found = await this.find(queue);
    if (found === undefined) throw new Problem('queue_not_found', `there is no queue ${JSON.stringify(queue)}`);
    return found;
  }

  /**
   * The first enqueue makes a queue.
   *
   * @param delivers - Jobs will come that want something at their end. When that is new to a queue, this takes a
   * second: by then all replicas look for it, to whichever the word of a worker comes.
   */
  async ensure(queue: string, delivers = false): Promise<Found> {
    const found = await this.find(queue);
    if (found !== undefined && (!delivers || found.definition.delivers === true)) return found;
    const definition = await this.define(queue, delivers ? { delivers } : {});
    if (found !== undefined) await sleep(SEEN_BY_ALL_MS);
    return { definition, lane: this.#options.lanes[definition.lane] };
  }

  /**
   * Makes a queue or changes it; what the change leaves out stays as it is.
   *
   * @throws Problem `conflict` for another lane than it has; `invalid_request` for a name that is none; `overloaded`
   * with as many queues as there may be.
   */
  async define(queue: string, change: QueueChange): Promise<QueueDefinition> {
    const known = await this.#registry(() => this.#options.registry.get(queue, true));
    const present = known ?? (await this.#create(queue, change));
    if (change.lane !== undefined && change.lane !== present.lane)
      throw new Problem('conflict', `the queue ${queue} is on the lane ${present.lane}, and a lane never changes`);
    const definition = { ...present, ...change, queue, lane: present.lane };
    const lane = this.#options.lanes[definition.lane];
    // The lane first: a definition that is shown holds.
    await callStore(lane, 'repeatable', () => lane.configure(queue, definition.limits, definition.groups));
    // What was just made is kept already; writing it again could undo what somebody else has changed since.
    if (known !== undefined || JSON.stringify(present) !== JSON.stringify(definition))
      await this.#registry(() => this.#options.registry.put(definition));
    return definition;
  }

  async configureGroup(queue: string, group: string, limits: GroupLimits | undefined): Promise<void> {
    const { lane } = await this.ensure(queue);
    await callStore(lane, 'repeatable', () => lane.configureGroup(queue, group, limits));
  }

  /** @throws Problem `conflict` while there are leases, unless forced; `queue_not_found`. */
  async remove(queue: string, isForced: boolean): Promise<void> {
    const { lane } = await this.need(queue);
    const isGone = await callStore(lane, 'repeatable', () => lane.remove(queue, isForced));
    if (!isGone) throw new Problem('conflict', `jobs of the queue ${queue} are leased; force removes them too`);
    await this.#registry(() => this.#options.registry.remove(queue));
  }

  async #create(queue: string, change: QueueChange): Promise<QueueDefinition> {
    if (!NAME.test(queue))
      throw new Problem('invalid_request', `${JSON.stringify(queue.slice(0, 100))} is no name of a queue`);
    const { registry, queuesMax, defaultLane } = this.#options;
    const count = (await this.list()).length;
    if (count >= queuesMax) throw new Problem('overloaded', `there are ${count} queues; the most is ${queuesMax}`);
    const made = { lane: defaultLane, limits: DEFAULT_LIMITS, groups: DEFAULT_GROUPS, defaults: {}, ...change, queue };
    return this.#registry(() => registry.create(made));
  }

  /** Asked again it does the same, so that a failure is never an unknown outcome. */
  async #registry<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storeProblem(error, 'repeatable');
    }
  }
}
