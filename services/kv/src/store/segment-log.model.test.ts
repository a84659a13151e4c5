/** Random operations on a log and on a plain list, which must agree after each. */
import { describe, expect, it } from '@jest/globals';
import type { Log, LogRecord } from './log.ts';
import { FRAME_HEADER_BYTES } from './record-frame.ts';
import { changeByte, names, randomFrom, records, SEED, segmentPaths, TestFolders } from './segment-log.fixture.ts';
import type { SegmentLogOptions } from './segment-log.ts';

const folders = new TestFolders();

/** Thousands of syncs: a disk that others use takes its time. */
const SYNCS_MS = 300_000;

describe('any sequence of operations', () => {
  it(
    'leaves what a list of records would',
    async () => {
      console.log(`SEED=${SEED}`);
      for (let round = 0; round < 8; round++) await new RandomRun(randomFrom(SEED + round)).run(150);
    },
    SYNCS_MS,
  );

  /** A log and the list it must equal. */
  class RandomRun {
    readonly #random: () => number;
    readonly #options: Partial<SegmentLogOptions>;
    #log: Log | undefined;
    #path = folders.create();
    #expected: LogRecord[] = [];
    /** Records that end at or before it may be gone. */
    #trimmed = 0;

    constructor(random: () => number) {
      this.#random = random;
      this.#options = {
        sync: random() < 0.7 ? 'always' : 'none',
        useDsync: random() < 0.7,
        segmentBytes: 200 + this.#below(8_000),
        spareSegmentsMax: this.#below(4),
      };
    }

    async run(steps: number): Promise<void> {
      await this.#open();
      for (let step = 0; step < steps; step++) {
        await this.#step();
        await this.#check();
      }
      await this.#opened.close();
    }

    get #opened(): Log {
      if (this.#log === undefined) throw new Error('not open');
      return this.#log;
    }

    async #step(): Promise<void> {
      const dice = this.#random();
      if (dice < 0.7) await this.#append();
      else if (dice < 0.8) await this.#trim();
      else if (dice < 0.85) await this.#opened.flush();
      else if (dice < 0.9) await this.#reopen();
      else if (dice < 0.95) await this.#crash();
      else if (dice < 0.99) await this.#tear();
      else await this.#jump();
    }

    async #append(): Promise<void> {
      const size = this.#random() < 0.05 ? 20_000 : 1_500;
      const parts = Array.from({ length: this.#below(4) }, () => this.#bytes(this.#below(size)));
      const end = await this.#opened.append(parts);
      this.#expected.push({ end, body: Buffer.concat(parts) });
    }

    async #trim(): Promise<void> {
      const position = this.#expected[this.#below(this.#expected.length)]?.end ?? 0;
      await this.#opened.trim(position);
      this.#trimmed = Math.max(this.#trimmed, position);
    }

    async #reopen(): Promise<void> {
      await this.#opened.close();
      await this.#open();
    }

    async #crash(): Promise<void> {
      const crashed = folders.crashCopy(this.#path);
      await this.#opened.close();
      this.#path = crashed;
      await this.#open();
    }

    /** Damages the last record as a crash in its middle would. */
    async #tear(): Promise<void> {
      const crashed = folders.crashCopy(this.#path);
      await this.#opened.close();
      this.#path = crashed;
      const path = segmentPaths(crashed).at(-1) ?? '';
      const segmentStart = Number.parseInt(names('.log', crashed).at(-1) ?? '', 16);
      const start = this.#expected.at(-2)?.end ?? this.#trimmed;
      const last = this.#expected.at(-1);
      if (last !== undefined && this.#expected.length > 1 && start >= segmentStart && start >= this.#trimmed) {
        const at = this.#below(FRAME_HEADER_BYTES + last.body.byteLength);
        changeByte(path, start - segmentStart + at, (byte) => byte ^ 0x10);
        this.#expected.pop();
      }
      await this.#open();
    }

    async #jump(): Promise<void> {
      const startAt = this.#opened.end + 1 + this.#below(1_000);
      await this.#opened.close();
      await this.#open(startAt);
      expect(this.#opened.end).toBe(startAt);
      this.#expected = [];
      this.#trimmed = startAt;
    }

    async #open(startAt = 0): Promise<void> {
      this.#log = await folders.open({ ...this.#options, startAt }, this.#path);
    }

    async #check(): Promise<void> {
      const kept = this.#expected.filter((record) => record.end >= this.#trimmed);
      const from = kept[this.#below(kept.length)]?.end ?? this.#trimmed;
      const found = await records(this.#opened, from);
      const expected = this.#expected.filter((record) => record.end > from);
      expect(found.map((record) => record.end)).toEqual(expected.map((record) => record.end));
      // Not toEqual, which takes seconds for megabytes.
      const bodies = (list: LogRecord[]): Buffer => Buffer.concat(list.map((record) => record.body));
      expect(bodies(found).equals(bodies(expected))).toBe(true);
    }

    #below(bound: number): number {
      return Math.floor(this.#random() * bound);
    }

    #bytes(count: number): Buffer {
      return Buffer.from(Array.from({ length: count }, () => this.#below(256)));
    }
  }
});
