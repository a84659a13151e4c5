/**
 * Group commit. Everything that waits at one moment becomes one record, one append and one sync; each command gets an
 * answer of its own. While a record is on its way to the disk the previous one is applied and answered, so processor
 * and disk work side by side and the groups grow by themselves as load does.
 *
 *   submit → waiting → [ taken ] → log.append → machine.applyRecord → answers
 *
 * Before it is taken a command can still be given up ("did not happen"); after that only its outcome can become
 * unknown, when the disk does not answer in time.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Problem } from '@plinth/problem';
import type { Log } from '../store/log.ts';
import type { LogPosition } from '../store/store.ts';
import { type Command, type CommandRecord, type Done, encodeCommands, type Outcome } from './command.ts';

export interface SubmitOptions {
  /** Rough size, for the bounds. */
  bytes?: number;
  /** Give up when not taken by then; milliseconds of the service's clock. */
  deadlineMs?: number;
  signal?: AbortSignal | undefined;
  /** Whatever the observer wants to know the caller by. */
  context?: unknown;
}

/** Someone who waits and wants to be known. */
export interface Caller {
  context: unknown;
  sinceMs: number;
}

/** Told of every group: where tracing and metrics come in. */
export interface CommitObserver {
  /** @returns Called when the group is answered or refused. */
  began(callers: readonly Caller[], commands: number, bytes: number): (error?: unknown) => void;
}

interface Waiting {
  commands: readonly Command[];
  bytes: number;
  deadlineMs: number;
  signal: AbortSignal | undefined;
  caller: Caller | undefined;
  /** @param at - Where among the outcomes of the group its own begin. */
  answer: (outcomes: Outcome[], at: number) => void;
  reject: (problem: Problem) => void;
}

interface Group {
  waiting: readonly Waiting[];
  record: CommandRecord;
  end: LogPosition;
  ended: (error?: unknown) => void;
}

/** Bounds of what waits: some tenths of a second of work; beyond it callers are better told to come back. */
const WAITING_COMMANDS_MAX = 20_000;
const WAITING_BYTES_MAX = 64 * 1_048_576;
/** Bounds of one group: a record is encoded, applied and answered without pause. */
const GROUP_COMMANDS_MAX = 1_000;
const GROUP_BYTES_MAX = 8 * 1_048_576;
/** While the disk is slow, how often those who wait are looked at: the most a deadline is answered late by. */
const LOOK_EVERY_MS = 100;

export interface CommitQueueOptions {
  /** Undefined: nothing is logged. */
  log: Log | undefined;
  /** The clock of deadlines. */
  now: () => number;
  /** A clock that nobody sets, in milliseconds: how long the disk takes. */
  elapsed: () => number;
  /** The clock of records. */
  recordTime: () => number;
  /** Applies a record: the machine's step. */
  apply: (end: LogPosition, record: CommandRecord) => Outcome[];
  /** After how long without an answer from the disk the outcome is called unknown. */
  commitTimeoutMs: number;
  observer: CommitObserver | undefined;
}

export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #waiting: Waiting[] = [];
  #waitingCommands = 0;
  #waitingBytes = 0;
  #running = false;
  /** The group that the disk has, and since when. */
  #underWay: { waiting: readonly Waiting[]; sinceMs: number } | undefined;
  #watch: NodeJS.Timeout | undefined;
  /** Why nothing is taken any more: stopping, or a log that is broken. */
  #closed: Problem | undefined;
  /** Why nothing is taken for now: no room. */
  #paused: Problem | undefined;
  #idle: (() => void)[] = [];
  /** Where the last record ends, if there is no log to say so. */
  #end: LogPosition;

  constructor(options: CommitQueueOptions, position: LogPosition) {
    this.#options = options;
    this.#end = position;
  }

  /**
   * Resolves with an outcome for each command, in order, when they are as durable as the log makes them.
   *
   * @throws Problem `overloaded`, `deadline_exceeded`, `disk_full`, `unavailable`: none of them happened.
   * `outcome_unknown`: they may have.
   */
  submit(commands: readonly Command[], options?: SubmitOptions): Promise<Outcome[]> {
    return new Promise((resolve, reject) => {
      const answer = (outcomes: Outcome[], at: number) => resolve(outcomes.slice(at, at + commands.length));
      this.#enqueue(commands, options, answer, reject);
    });
  }

  /** The same for one command. @throws Problem also when the command itself is refused. */
  submitOne(command: Command, options?: SubmitOptions): Promise<Done> {
    return new Promise((resolve, reject) => {
      const answer = (outcomes: Outcome[], at: number) => {
        const outcome = outcomes[at]!;
        if (outcome instanceof Problem) reject(outcome);
        else resolve(outcome);
      };
      this.#enqueue([command], options, answer, reject);
    });
  }

  #enqueue(
    commands: readonly Command[],
    { bytes = 0, deadlineMs = Infinity, signal, context }: SubmitOptions = {},
    answer: Waiting['answer'],
    reject: Waiting['reject'],
  ): void {
    const refusal = this.refusal ?? this.#overload(commands.length, bytes);
    if (refusal !== undefined) {
      reject(refusal);
      return;
    }
    const caller = context === undefined ? undefined : { context, sinceMs: this.#options.now() };
    this.#waiting.push({ commands, bytes, deadlineMs, signal, caller, answer, reject });
    this.#waitingCommands += commands.length;
    this.#waitingBytes += bytes;
    this.#start();
  }

  /** Refuses new commands with this until it is called with undefined. */
  pause(problem: Problem | undefined): void {
    this.#paused = problem;
  }

  /** Refuses new commands for good; those that wait are still done. */
  close(problem: Problem): void {
    this.#closed ??= problem;
  }

  /** Refuses new commands for good and those that wait: the log takes nothing any more. */
  fail(problem: Problem): void {
    this.close(problem);
    this.#dropWaiting(() => problem);
  }

  get refusal(): Problem | undefined {
    return this.#closed ?? this.#paused;
  }

  get waiting(): number {
    return this.#waitingCommands;
  }

  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #overload(commands: number, bytes: number): Problem | undefined {
    const fits =
      this.#waitingCommands + commands <= WAITING_COMMANDS_MAX && this.#waitingBytes + bytes <= WAITING_BYTES_MAX;
    if (fits || this.#waiting.length === 0) return undefined;
    return new Problem('overloaded', `${this.#waitingCommands} writes wait already`, { retryAfterMs: 1_000 });
  }

  /** At the end of this turn of the event loop, so that all requests read in it share the record. */
  #start(): void {
    if (this.#running) return;
    this.#running = true;
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    let previous: Group | undefined;
    for (;;) {
      const waiting = this.#take();
      if (waiting.length === 0 && previous === undefined) break;
      const appending = waiting.length > 0 ? this.#append(waiting) : undefined;
      if (previous !== undefined) await this.#settle(previous);
      previous = await appending;
    }
    this.#running = false;
    clearInterval(this.#watch);
    this.#watch = undefined;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #take(): Waiting[] {
    const taken: Waiting[] = [];
    let commands = 0;
    let bytes = 0;
    let looked = 0;
    const now = this.#options.now();
    for (const waiting of this.#waiting) {
      if (commands > 0 && (commands + waiting.commands.length > GROUP_COMMANDS_MAX || bytes > GROUP_BYTES_MAX)) break;
      looked += 1;
      const gaveUp = whyGivenUp(waiting, now);
      if (gaveUp === undefined) {
        taken.push(waiting);
        commands += waiting.commands.length;
        bytes += waiting.bytes;
      } else waiting.reject(gaveUp);
    }
    for (const gone of this.#waiting.splice(0, looked)) this.#uncount(gone);
    return taken;
  }

  /** Refuses those among the waiting for whom there is a reason. */
  #dropWaiting(reason: (waiting: Waiting) => Problem | undefined): void {
    this.#waiting = this.#waiting.filter((waiting) => {
      const problem = reason(waiting);
      if (problem === undefined) return true;
      this.#uncount(waiting);
      waiting.reject(problem);
      return false;
    });
  }

  #uncount({ commands, bytes }: Waiting): void {
    this.#waitingCommands -= commands.length;
    this.#waitingBytes -= bytes;
  }

  /** @returns The group once it is in the log, or undefined when the disk refused and all of it was told so. */
  async #append(waiting: readonly Waiting[]): Promise<Group | undefined> {
    const { log, recordTime, elapsed, observer, commitTimeoutMs } = this.#options;
    const record: CommandRecord = { timeMs: recordTime(), commands: waiting.flatMap(({ commands }) => commands) };
    const body = log === undefined ? undefined : encodeCommands(record);
    const callers = waiting.flatMap(({ caller }) => caller ?? []);
    const ended = observer?.began(callers, record.commands.length, body?.length ?? 0) ?? (() => {});
    if (log === undefined || body === undefined) return { waiting, record, end: ++this.#end, ended };
    const underWay = { waiting, sinceMs: elapsed() };
    this.#underWay = underWay;
    this.#watch ??= setInterval(() => this.#look(), Math.min(LOOK_EVERY_MS, commitTimeoutMs));
    try {
      return { waiting, record, end: await log.append([body]), ended };
    } catch (error) {
      const problem = isBroken(error) ? this.#break() : diskProblem(error);
      rejectAll(waiting, problem);
      ended(problem);
      return undefined;
    } finally {
      this.#underWay = undefined;
    }
  }

  /** While the disk is at work: tells callers in time what can be told without it. */
  #look(): void {
    if (this.#underWay === undefined) return;
    const { now, elapsed, commitTimeoutMs } = this.#options;
    const { waiting: group, sinceMs } = this.#underWay;
    if (elapsed() - sinceMs >= commitTimeoutMs) rejectAll(group, outcomeUnknown(commitTimeoutMs));
    this.#dropWaiting((waiting) => whyGivenUp(waiting, now()));
  }

  /** The log cannot tell what is on the disk any more: nothing more may be promised until it is opened anew. */
  #break(): Problem {
    this.fail(new Problem('unavailable', 'the log met an error it could not undo; the service must be restarted'));
    return new Problem(
      'outcome_unknown',
      'the disk failed during the write; it may or may not be found after a restart',
    );
  }

  async #settle({ waiting, record, end, ended }: Group): Promise<void> {
    const outcomes = this.#options.apply(end, record);
    let at = 0;
    for (const { commands, answer } of waiting) {
      answer(outcomes, at);
      at += commands.length;
    }
    ended();
    // A disk lets others have their turn; without one, callers that answer each answer with a write would have them all.
    if (this.#options.log === undefined) await nextTurn();
  }
}

const isBroken = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'LOG_BROKEN';

function whyGivenUp({ signal, deadlineMs }: Waiting, now: number): Problem | undefined {
  if (!signal?.aborted && deadlineMs > now) return undefined;
  return new Problem('deadline_exceeded', 'the caller gave up before the write was begun; it did not happen');
}

function rejectAll(waiting: readonly Waiting[], problem: Problem): void {
  for (const { reject } of waiting) reject(problem);
}

const outcomeUnknown = (afterMs: number): Problem =>
  new Problem('outcome_unknown', `the disk has not answered for ${afterMs} ms; the write may still happen`);

/** The log cut itself back: whatever the disk's reason, the record did not happen. */
export function diskProblem(error: unknown): Problem {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new Problem('disk_full', `the disk is full (${code}); the write did not happen`, {
      retryAfterMs: 5_000,
      cause: error,
    });
  }
  return new Problem('unavailable', `the disk refused (${code}); the write did not happen`, {
    retryAfterMs: 1_000,
    cause: error,
  });
}
