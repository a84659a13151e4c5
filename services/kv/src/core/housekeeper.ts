/**
 * What has to happen without anybody asking: expiry at its time, compaction of what is past its keeping, removal of
 * dropped buckets. It only proposes commands; the machine decides, so a replay decides the same.
 */
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
  report: (error: unknown) => void;
}

/** Entries that expire close together go in one record; readers see each gone at its very millisecond anyway. */
const TICK_GAP_MS = 50;
/** Longest sleep between looks at the clock, so that a clock that was set is noticed. */
const TICK_MAX_MS = 1_000;
const COMPACT_EVERY_MS = 1_000;
/** Records a compaction visits at once: about a millisecond of work. */
const COMPACT_RECORDS = 500;
const SWEEP_ROWS = 1_000;
const BUSY_COMMANDS = 64;

export class Housekeeper {
  readonly #options: HousekeeperOptions;
  #tick: NodeJS.Timeout | undefined;
  #compaction: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: HousekeeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#scheduleTick();
    this.#scheduleCompaction();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#tick);
    clearTimeout(this.#compaction);
  }

  #scheduleTick(): void {
    if (this.#stopped) return;
    const wait = this.#options.machine.nextDueMs() - this.#options.now();
    this.#tick = setTimeout(() => void this.#ticked(), Math.min(Math.max(wait, TICK_GAP_MS), TICK_MAX_MS));
    this.#tick.unref();
  }

  async #ticked(): Promise<void> {
    const { machine, now, submit } = this.#options;
    if (machine.nextDueMs() <= now()) await this.#attempt(() => submit({ do: 'tick' }));
    this.#scheduleTick();
  }

  #scheduleCompaction(): void {
    if (this.#stopped) return;
    this.#compaction = setTimeout(() => void this.#compact(), COMPACT_EVERY_MS);
    this.#compaction.unref();
  }

  async #compact(): Promise<void> {
    for (const bucket of [...this.#options.machine.buckets.values()]) {
      await this.#attempt(() => this.#tidy(bucket));
    }
    this.#scheduleCompaction();
  }

  async #tidy(bucket: BucketState): Promise<void> {
    const { submit } = this.#options;
    for (;;) {
      if (this.#stopped) return;
      const command = bucket.dropped ? sweep(bucket) : this.#compactionOf(bucket);
      if (command === undefined) return;
      const { more } = await submit(command);
      if (!more || this.#options.waiting() > BUSY_COMMANDS) return;
    }
  }

  #compactionOf(bucket: BucketState): Command | undefined {
    const { machine, now } = this.#options;
    const { id, settings, compactedRevision } = bucket;
    const crowded = bucket.pastVersions > settings.historyRevisionsMax;
    const revision = crowded
      ? bucket.revision
      : viewAtTime(machine.store, bucket, now() - settings.historyMs, present(machine)).revision;
    if (revision <= compactedRevision) return undefined;
    return { do: 'compact', bucket: id, revision, limit: COMPACT_RECORDS };
  }

  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#stopped) this.#options.report(error);
    }
  }
}

const sweep = (bucket: BucketState): Command => ({ do: 'sweepBucket', bucket: bucket.id, limit: SWEEP_ROWS });

const present = ({ revision, timeMs }: Machine) => ({ revision, timeMs });
