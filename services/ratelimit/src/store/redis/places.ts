/**
 * Places and names in Redis: those who hold one of `concurrency`, ids that are claimed once, and the replicas of this
 * service, which hold places in a set without a limit.
 */
import type { Charge } from '@plinth/limiter';
import type { Hold, HoldAsk } from '../backend.ts';
import { neverOr } from './ask-batch.ts';
import type { ChargeCoder } from './charge-code.ts';
import type { RedisLink } from './link.ts';
import type { Script } from './script.ts';

/** What of a charge says where its places are and how many. */
type Place = Pick<Charge, 'key' | 'cost'>;

const REPLICAS: Place = { key: ':replicas', cost: 1 };
/** More replicas than anybody runs. */
const REPLICAS_MAX = 100_000;
const HEARTBEAT_MS = 2_000;
/** Three heartbeats may be lost. */
const REPLICA_LIFE_MS = 4 * HEARTBEAT_MS;

export interface PlacesRooms {
  link: RedisLink;
  coder: ChargeCoder;
  script: Script;
}

export interface ReplicaCount {
  readonly count: number;
  /** Counts now. */
  beat(): Promise<void>;
  stop(): Promise<void>;
}

export class Places {
  readonly #rooms: PlacesRooms;

  constructor(rooms: PlacesRooms) {
    this.#rooms = rooms;
  }

  async hold({ charge, id, holdMs }: HoldAsk): Promise<Hold> {
    const { limit } = charge.policy;
    const [isHeld, remaining, retryUs] = await this.#run(charge, 'hold', id, [holdMs * 1_000, limit]);
    return { id, isHeld: isHeld === 1, remaining: remaining!, limit, retryAfterUs: neverOr(retryUs!) };
  }

  async keep(charge: Charge, id: string, holdMs: number): Promise<boolean> {
    const [isKept] = await this.#run(charge, 'keep', id, [holdMs * 1_000]);
    return isKept === 1;
  }

  async release(charge: Charge, id: string): Promise<boolean> {
    const [isReleased] = await this.#run(charge, 'release', id, []);
    return isReleased === 1;
  }

  #run(
    charge: Place,
    deed: 'hold' | 'keep' | 'release',
    id: string,
    numbers: readonly number[],
  ): Promise<readonly number[]> {
    const { link, coder, script } = this.#rooms;
    return link.run(script, [coder.placesKeyOf(charge)], [deed, id, String(charge.cost), ...numbers.map(String)]);
  }

  /** Says once more that this replica is here. @returns How many are. */
  async #count(id: string): Promise<number> {
    const [, left] = await this.#run(REPLICAS, 'hold', id, [REPLICA_LIFE_MS * 1_000, REPLICAS_MAX]);
    return REPLICAS_MAX - left!;
  }

  /** Keeps count of the replicas; the last count stays while Redis is away. */
  countReplicas(id: string): ReplicaCount {
    let count = 1;
    const beat = async () => {
      count = await this.#count(id).catch(() => count);
    };
    const timer = setInterval(beat, HEARTBEAT_MS);
    timer.unref();
    return {
      get count() {
        return count;
      },
      beat,
      stop: async () => {
        clearInterval(timer);
        await this.#run(REPLICAS, 'release', id, []).catch(() => undefined);
      },
    };
  }
}
