/** What a worker asks of the queue service: four calls, by HTTP or NATS. Each is tried once; who calls decides on repeats. */
import { type Client, type ClientOptions, createClient } from '@plinth/client';
import type { BeatInput, BriefAnswer, LeaseInput, RenewInput, SettleInput } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';

/** A job as the service leases it out. */
export type LeasedJob = BriefAnswer;
export type Ack = NonNullable<SettleInput['acks']>[number];
export type Fail = NonNullable<SettleInput['fails']>[number];
export type Release = NonNullable<SettleInput['releases']>[number];
/** `done`: ids and tokens of acks without a result, with spaces between; answered only where they did not complete. */
export type Settlements = { done?: string; acks?: Ack[]; fails?: Fail[]; releases?: Release[] };
export type LeaseAsk = Required<Omit<LeaseInput, 'brief'>>;
/** What became of one item, in the order done, acks, fails, releases; `problem` says why it was refused. */
export type Settled = { id: string; state?: string; problem?: Record<string, unknown> };
export type Renewal = RenewInput['leases'][number];
/** `cancel`: the job is still this worker's, but it is asked to stop, and why. */
export type Renewed = { id: string; cancel?: string; problem?: Record<string, unknown> };
export type Beat = BeatInput;
/** `quiet`: lease no more. `terminate`: stop, and give back what is left. */
export type Order = 'run' | 'quiet' | 'terminate';

export interface CallPatience {
  timeoutMs: number;
  signal?: AbortSignal;
}

/** All throw `Problem`; `outcome_unknown` when it may have happened. */
export interface QueueDoor {
  /** Settles and leases in one call. Without settlements it only leases. */
  next(queue: string, settlements: Settlements, ask: LeaseAsk, patience: CallPatience): Promise<NextReply>;
  settle(queue: string, settlements: Settlements, patience: CallPatience): Promise<Settled[]>;
  renew(queue: string, leases: Renewal[], patience: CallPatience): Promise<Renewed[]>;
  beat(worker: string, beat: Beat, patience: CallPatience): Promise<Order>;
  close(): Promise<void>;
}
export interface NextReply {
  settled: Settled[];
  jobs: LeasedJob[];
}

/** A door of one's own, to where the options say. */
export function openDoor(options: ClientOptions): QueueDoor {
  return doorOf(createClient({ ...options, retries: 0 }));
}

/** The door of a client. Closing it closes the client. */
export function doorOf(client: Client): QueueDoor {
  const of = (queue: string) => client.queues.queue(queue);
  return {
    next: (queue, settlements, ask, patience) => of(queue).next({ ...settlements, ...ask, brief: true }, patience),
    settle: (queue, settlements, patience) =>
      itemsOf(idsOf(settlements), () => of(queue).settle(settlements, patience) as Promise<Settled[]>),
    renew: (queue, leases, patience) =>
      itemsOf(
        leases.map(({ id }) => id),
        () => of(queue).renew(leases, patience) as Promise<Renewed[]>,
      ),
    beat: (worker, beat, patience) => client.queues.beat(worker, beat, patience),
    close: () => client.close(),
  };
}

/** The problem of a single item comes as the answer; here it is that item's again. */
async function itemsOf<Item>(ids: string[], call: () => Promise<Item[]>): Promise<Item[]> {
  try {
    return await call();
  } catch (error) {
    if (ids.length !== 1 || !isOfItem(error)) throw error;
    return [{ id: ids[0], problem: error.toBody() } as Item];
  }
}

const isOfItem = (error: unknown): error is Problem =>
  error instanceof Problem && (error.code === 'lease_lost' || error.status === 404 || error.status === 413);

function idsOf({ done, acks = [], fails = [], releases = [] }: Settlements): string[] {
  const doneIds = done === undefined ? [] : done.split(' ').filter((_, at) => at % 2 === 0);
  return [...doneIds, ...[...acks, ...fails, ...releases].map(({ id }) => id)];
}
