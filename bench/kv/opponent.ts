/** Who takes part in the race, as far as the race is concerned. */
import type { CpuWindow } from '../cpu.ts';
import type { Server } from '../stage.ts';
import type { Operation } from './workload.ts';

/** One slot: which load to bear. */
export interface Slot {
  operation: Operation;
  connections: number;
  seconds: number;
  /** The same for all opponents of a round, so that they get the same keys in the same order. */
  seed: number;
}

/** What one slot showed. */
export interface Sample extends CpuWindow {
  requests: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

/** A server in the race. */
export interface Opponent {
  readonly name: string;
  /** With version, for tables. */
  readonly title: string;
  readonly server: Server;
  readonly operations: readonly Operation[];
  /** What an answer promises: the fsync level of a put, how fresh a read is. */
  promise(operation: Operation): string;
  /** Stores all keys and checks by reading that they are there. */
  fill(): Promise<void>;
  /**
   * Bears the load of one slot.
   * @throws Error when one answer was wrong: then no figure of the run counts.
   */
  bear(slot: Slot): Promise<Sample>;
  /** Checks by reading that every value is one that was put. */
  verify(): Promise<void>;
}
