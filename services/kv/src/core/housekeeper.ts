/**
 * What has to happen without anybody asking: expiry at its time, compaction of what is past its keeping, removal of
 * dropped buckets. It only proposes commands; the machine decides, so a replay decides the same.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BucketState } from './bucket.ts';
import type { Command, Done } from './command.ts';
import type { Machine } from './machine.ts';
import { viewAtTime } from './reader.ts';

export interface HousekeeperOptions {
  machine: Machine;
  now: () => number;
  submit: (command: Command) => Promise<Done>;
  /** Commands that wait: housekeeping steps back while there is real work. */
  waiting: () => number;
  /** Told of the first of several failures in a row. */
  report: (error: unknown) => void;
}

/** Entries that expire close together go in one record; readers see each gone at its very millisecond anyway. */
const TICK_GAP_MS = 50;
/** Longest sleep between looks, so that an entry written meanwhile, or a clock that was set, is noticed. */
const TICK_MAX_MS = 100;
/** After a refusal: the disk is full, say. */
const RETRY_MS = 1_000;
const COMPACT_EVERY_MS = 1_000;
/** Records a compaction visits at once: about a millisecond of work. */
const COMPACT_RECORDS = 500;
const SWEEP_ROWS = 1_000;
const BUSY_COMMANDS = 64;

export class Housekeeper {
  readonly #options: HousekeeperOptions;
  #tick: NodeJS.Timeout | undefined;
  #compaction: NodeJS.Timeout | undefined;
  #failed = false;
  #stopped = false;

  constructor(options: HousekeeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#scheduleTick(this.#untilDueMs());
    this.#scheduleCompaction();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#tick);
    clearTimeout(this.#compaction);
  }

  // ------------------------------------------------------------ what is due

  #untilDueMs(): number {
    const { machine, now } = this.#options;
    return Math.min(Math.max(machine.nextDueMs() - now(), TICK_GAP_MS), TICK_MAX_MS);
  }

  #scheduleTick(ms: number): void {
    if (this.#stopped) return;
    this.#tick = setTimeout(() => void this.#ticked(), ms);
    this.#tick.unref();
  }

  async #ticked(): Promise<void> {
    if (!this.#isDue()) return this.#scheduleTick(this.#untilDueMs());
    const done = await this.#propose({ do: 'tick' });
    if (done === undefined) return this.#scheduleTick(RETRY_MS);
    // One record sweeps a bounded number: the rest goes at once, or writes would outrun it.
    this.#scheduleTick(this.#isDue() ? 0 : this.#untilDueMs());
  }

  #isDue(): boolean {
    const { machine, now } = this.#options;
    return machine.nextDueMs() <= now();
  }

  // ------------------------------------------------------------ the past, and what was dropped

  #scheduleCompaction(): void {
    if (this.#stopped) return;
    this.#compaction = setTimeout(() => void this.#tidyAll(), COMPACT_EVERY_MS);
    this.#compaction.unref();
  }

  async #tidyAll(): Promise<void> {
    for (const bucket of [...this.#options.machine.buckets.values()]) {
      if (this.#stopped) return;
      await this.#tidy(bucket);
      await nextTurn();
    }
    this.#scheduleCompaction();
  }

  async #tidy(bucket: BucketState): Promise<void> {
    while (!this.#stopped) {
      const command = bucket.dropped ? sweep(bucket) : this.#compactionOf(bucket);
      const done = command && (await this.#propose(command));
      if (!done?.more || this.#options.waiting() > BUSY_COMMANDS) return;
    }
  }

  #compactionOf(bucket: BucketState): Command | undefined {
    if (bucket.visitedRevision >= bucket.revision) return undefined;
    const revision = Math.min(this.#forgettable(bucket), bucket.revision);
    if (revision <= bucket.visitedRevision) return undefined;
    return { do: 'compact', bucket: bucket.id, revision, limit: COMPACT_RECORDS };
  }

  /** The revision up to which nobody has a right to the past. */
  #forgettable(bucket: BucketState): number {
    const { machine, now } = this.#options;
    const { settings, pastVersions, compactedRevision, compactedTimeMs, createdAtMs, revision } = bucket;
    if (pastVersions > settings.historyRevisionsMax) return revision;
    const keptFromMs = now() - settings.historyMs;
    // Looking costs a search, and puts what is in memory in order: not before there can be something.
    if (keptFromMs < Math.max(compactedTimeMs, createdAtMs)) return compactedRevision;
    return viewAtTime(machine.store, bucket, keptFromMs, machine).revision;
  }

  /** @returns Undefined when it was refused. */
  async #propose(command: Command): Promise<Done | undefined> {
    try {
      const done = await this.#options.submit(command);
      this.#failed = false;
      return done;
    } catch (error) {
      if (!this.#failed && !this.#stopped) this.#options.report(error);
      this.#failed = true;
      return undefined;
    }
  }
}

const sweep = (bucket: BucketState): Command => ({ do: 'sweepBucket', bucket: bucket.id, limit: SWEEP_ROWS });
