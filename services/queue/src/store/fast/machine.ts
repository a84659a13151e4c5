/**
 * The machine that moves the jobs of fast queues. Each call is one script and one round trip, whatever the size of the
 * batch; each is done as a whole or, when Redis refuses it, not at all.
 *
 * All calls reject with `StoreAway`, which says whether what was asked may have been done.
 */
import type { Added, NewJob, Renewal, Renewed, Settled, Settlement } from '../../core/job.ts';
import type { GroupLimits, LeaseAnswer, LeaseAsk, QueueLimits, Ticked } from '../lane.ts';
import type { RedisStore } from '../redis.ts';
import { ADD, ADD_LEASE } from './add-script.ts';
import * as calls from './calls.ts';
import { CONFIGURE, CONFIGURE_GROUP } from './configure-script.ts';
import { KEY_PREFIX, type QueueKeys, queueKeys, queuesKey } from './keys.ts';
import { escaped } from './record.ts';
import { RENEW } from './renew-script.ts';
import type { Reply, Script } from './scripts.ts';
import { TICK } from './tick-script.ts';
import { LEASE, SETTLE, TURN } from './turn-script.ts';

export interface MachineRooms {
  readonly store: RedisStore;
  /** 0 … 1, for jitter. */
  random(): number;
  /** Of all keys; others than ours may be in the same Redis. */
  readonly prefix?: string | undefined;
}

/** Queues whose names are kept at hand; of more the oldest are made again when they are asked for. */
const QUEUES_AT_HAND = 10_000;

export class FastMachine {
  readonly #rooms: MachineRooms;
  readonly #prefix: string;
  readonly #keys = new Map<string, QueueKeys>();
  /** Those that are in the set of all queues for certain. */
  readonly #listed = new Set<string>();

  constructor(rooms: MachineRooms) {
    this.#rooms = rooms;
    this.#prefix = rooms.prefix ?? KEY_PREFIX;
  }

  /** The names of a queue's keys. */
  keysOf(queue: string): QueueKeys {
    const known = this.#keys.get(queue);
    if (known !== undefined) return known;
    if (this.#keys.size >= QUEUES_AT_HAND) this.#keys.delete(this.#keys.keys().next().value!);
    const keys = queueKeys(queue, this.#prefix);
    this.#keys.set(queue, keys);
    return keys;
  }

  async configure(queue: string, limits: QueueLimits, groups: GroupLimits): Promise<void> {
    // Another replica may have removed it since.
    this.#listed.delete(queue);
    await this.listQueue(queue);
    await this.#run(CONFIGURE, queue, [calls.limitsText(limits, groups)]);
  }

  async configureGroup(queue: string, group: string, limits: GroupLimits | undefined): Promise<void> {
    const text = limits === undefined ? '' : calls.groupText(limits);
    await this.#run(CONFIGURE_GROUP, queue, [escaped(group), text]);
  }

  async add(queue: string, jobs: readonly NewJob[]): Promise<Added[]> {
    if (jobs.length === 0) return [];
    await this.listQueue(queue);
    const added = calls.addedOf(await this.#run(ADD, queue, calls.addArgs(jobs)));
    await this.#listAnew(queue, added);
    return added;
  }

  async addLease(queue: string, jobs: readonly NewJob[], ask: LeaseAsk): Promise<LeaseAnswer & { added: Added[] }> {
    await this.listQueue(queue);
    const args = [...calls.leaseArgs(ask), ...calls.addArgs(jobs)];
    const [addText, leased] = (await this.#run(ADD_LEASE, queue, args)) as Reply[];
    const added = calls.addedOf(addText!);
    await this.#listAnew(queue, added);
    return { ...calls.leasedOf(leased!), added };
  }

  async #listAnew(queue: string, added: readonly Added[]): Promise<void> {
    // Its very first job: another replica may have removed the queue since it was listed here.
    if (added.some((one) => 'id' in one && one.id === '1')) {
      this.#listed.delete(queue);
      await this.listQueue(queue);
    }
  }

  async lease(queue: string, ask: LeaseAsk): Promise<LeaseAnswer> {
    return calls.leasedOf(await this.#run(LEASE, queue, calls.leaseArgs(ask)));
  }

  async turn(
    queue: string,
    settlements: readonly Settlement[],
    ask: LeaseAsk,
  ): Promise<LeaseAnswer & { settled: Settled[] }> {
    const call = calls.settleCall(settlements, this.#rooms.random);
    const [settled, leased] = (await this.#run(TURN, queue, [...calls.leaseArgs(ask), ...call.args])) as Reply[];
    return { ...calls.leasedOf(leased!), settled: calls.settledOf(settled!, call) };
  }

  async settle(queue: string, settlements: readonly Settlement[]): Promise<Settled[]> {
    if (settlements.length === 0) return [];
    const call = calls.settleCall(settlements, this.#rooms.random);
    return calls.settledOf(await this.#run(SETTLE, queue, call.args), call);
  }

  async renew(queue: string, renewals: readonly Renewal[]): Promise<Renewed[]> {
    if (renewals.length === 0) return [];
    return calls.renewedOf(await this.#run(RENEW, queue, calls.renewArgs(renewals)), renewals);
  }

  async tick(queue: string): Promise<Ticked> {
    return calls.tickedOf(await this.#run(TICK, queue, [this.#rooms.random()]));
  }

  /** All queues there are, by name. */
  async queues(): Promise<string[]> {
    const { store } = this.#rooms;
    return (await store.ask(() => store.client.smembers(queuesKey(this.#prefix)))).sort();
  }

  /** The queue is not there any more. */
  async unlistQueue(queue: string): Promise<void> {
    const { store } = this.#rooms;
    this.#listed.delete(queue);
    await store.ask(() => store.client.srem(queuesKey(this.#prefix), queue));
  }

  /** Puts a queue among all queues, where that is not known of it. */
  async listQueue(queue: string): Promise<void> {
    if (this.#listed.has(queue)) return;
    const { store } = this.#rooms;
    await store.ask(() => store.client.sadd(queuesKey(this.#prefix), queue));
    if (this.#listed.size >= QUEUES_AT_HAND) this.#listed.clear();
    this.#listed.add(queue);
  }

  #run(script: Script, queue: string, args: readonly (string | number)[]): Promise<Reply> {
    return this.#rooms.store.run(script, this.keysOf(queue), args);
  }
}
