/**
 * Decides together what arrives together, and delays nobody for it. The first check of a turn of the event loop goes to
 * the decider at once. When that has to wait for its answer (a backend across the network), what arrives behind it in
 * the same turn is gathered and goes in one piece at the end of the turn: one round trip instead of many.
 */
import type { Check, Verdict } from '../core/verdict.ts';
import type { Decider } from './decider.ts';

/** Checks that go in one piece; more go in several. */
const BATCH_MAX = 1_024;

export interface Asked {
  readonly check: Check;
  readonly deadlineMs: number | undefined;
  readonly trace: unknown;
  /** Called exactly once, at once or later. */
  answered(verdict: Verdict): void;
  failed(error: unknown): void;
}

export class Gatherer {
  readonly #decider: Decider;
  #waiting: Asked[] | undefined;

  constructor(decider: Decider) {
    this.#decider = decider;
  }

  ask(asked: Asked): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(asked);
      if (this.#waiting.length === BATCH_MAX) this.#send(this.#waiting.splice(0));
      return;
    }
    const { deadlineMs, trace } = asked;
    let verdicts: Verdict[] | Promise<Verdict[]>;
    try {
      verdicts = this.#decider.check([asked.check], { deadlineMs, trace });
    } catch (error) {
      asked.failed(error);
      return;
    }
    if (!(verdicts instanceof Promise)) {
      asked.answered(verdicts[0]!);
      return;
    }
    verdicts.then(([verdict]) => asked.answered(verdict!), asked.failed.bind(asked));
    this.#gather();
  }

  #gather(): void {
    this.#waiting = [];
    setImmediate(() => {
      const gathered = this.#waiting!;
      this.#waiting = undefined;
      if (gathered.length > 0) this.#send(gathered);
    });
  }

  /** The latest deadline is that of all: who has less time stops waiting by itself. */
  #send(batch: Asked[]): void {
    const deadlines = batch.map(({ deadlineMs }) => deadlineMs ?? Number.POSITIVE_INFINITY);
    const latestMs = Math.max(...deadlines);
    const deadlineMs = Number.isFinite(latestMs) ? latestMs : undefined;
    const trace = batch.find((asked) => asked.trace !== undefined)?.trace;
    // Alone each: a check that is refused must not take the others with it.
    const alone = () => {
      for (const asked of batch) this.#alone(asked);
    };
    try {
      const verdicts = this.#decider.check(
        batch.map(({ check }) => check),
        { deadlineMs, trace },
      );
      if (verdicts instanceof Promise)
        verdicts.then(
          (all) => answerAll(batch, all),
          (error) => failAll(batch, error),
        );
      else answerAll(batch, verdicts);
    } catch {
      alone();
    }
  }

  #alone(asked: Asked): void {
    try {
      const { deadlineMs, trace } = asked;
      const verdicts = this.#decider.check([asked.check], { deadlineMs, trace });
      if (verdicts instanceof Promise) verdicts.then(([verdict]) => asked.answered(verdict!), asked.failed.bind(asked));
      else asked.answered(verdicts[0]!);
    } catch (error) {
      asked.failed(error);
    }
  }
}

function answerAll(batch: readonly Asked[], verdicts: readonly Verdict[]): void {
  for (const [at, asked] of batch.entries()) asked.answered(verdicts[at]!);
}

function failAll(batch: readonly Asked[], error: unknown): void {
  for (const asked of batch) asked.failed(error);
}
