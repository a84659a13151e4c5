import { hostname } from 'node:os';
import type { DropNotice } from './file-sink-options.ts';

const REASONS = ['full', 'failed', 'tooLong'] as const;
type Reason = (typeof REASONS)[number];

/** Lines for the log, and how many dropped ones they tell of. */
export interface TakenNotice {
  text: string;
  lines: number;
  readonly counts: Record<Reason, number>;
}

/** Lines that were given up: how many, for what reason, and how many of them the log itself has not told yet. */
export class DropNotices {
  readonly counts = { full: 0, tooLong: 0, failed: 0, torn: 0 };
  readonly #told = { full: 0, tooLong: 0, failed: 0 };
  readonly #lineOf: (notice: DropNotice) => string;
  readonly #now: () => number;
  #hasNews = false;

  constructor(lineOf: ((notice: DropNotice) => string) | undefined, now: () => number) {
    this.#lineOf = lineOf ?? defaultLine;
    this.#now = now;
  }

  drop(reason: Reason, lines: number): void {
    this.counts[reason] += lines;
    if (lines > 0) this.#hasNews = true;
  }

  get hasNews(): boolean {
    return this.#hasNews;
  }

  /** One line a reason, for the log; what they say counts as told from then on. */
  take(): TakenNotice {
    this.#hasNews = false;
    const taken: TakenNotice = { text: '', lines: 0, counts: { full: 0, failed: 0, tooLong: 0 } };
    for (const reason of REASONS) {
      const untold = this.counts[reason] - this.#told[reason];
      if (untold === 0) continue;
      this.#told[reason] += untold;
      taken.counts[reason] = untold;
      taken.lines += 1;
      taken.text += this.#say({ lines: untold, reason, timeMs: this.#now() });
    }
    return taken;
  }

  /** The notice was itself dropped before it was written: what it said is news again. */
  putBack({ counts }: TakenNotice): void {
    for (const reason of REASONS) this.#told[reason] -= counts[reason];
    this.#hasNews = true;
  }

  /** The caller's own form of the line may throw. */
  #say(notice: DropNotice): string {
    try {
      return this.#lineOf(notice);
    } catch {
      return defaultLine(notice);
    }
  }
}

function defaultLine({ lines, reason, timeMs }: DropNotice): string {
  const msg = lines === 1 ? '1 line was dropped' : `${lines} lines were dropped`;
  const { pid } = process;
  return `${JSON.stringify({ level: 40, time: timeMs, pid, hostname: hostname(), msg, reason })}\n`;
}
