/**
 * The writer as the thread that started it sees it: starts it, hears its troubles, and when it dies starts another or
 * writes itself.
 */
import { Worker } from 'node:worker_threads';
import { LogFile, type LogFileOptions } from '../log-file.ts';
import { Notices } from './notice.ts';
import type { LineRing } from './ring.ts';
import { LIFE, WORD } from './ring-layout.ts';
import { isThreadAlive } from './thread-life.ts';
import { WriterLoop } from './writer-loop.ts';
import type { WriterCommand, WriterNews, WriterOrder } from './writer-thread.ts';

/** Something is wrong with the log: told once when it begins and, for the file's troubles, once when it is over. */
export interface ThreadLogTrouble {
  kind: string;
  code: string;
  message: string;
  isOver: boolean;
}

export interface WriterOwnerOptions {
  file: LogFileOptions;
  lingerMs: number;
  messageKey: string | undefined;
  /** Default: a warning of the process. */
  onError: ((trouble: ThreadLogTrouble) => void) | undefined;
}

/** Writers that may die before lines are written by the owner's thread itself. */
const DEATHS_MAX = 3;
/** A thread starts within some 100 ms; one that has not after this long never will. */
const START_MS_MAX = 5_000;
/** How long `close` waits for a file in trouble. */
const CLOSE_MS_MAX = 5_000;

export class WriterOwner {
  readonly #ring: LineRing;
  readonly #options: WriterOwnerOptions;
  #worker: Worker | undefined;
  #startedAtMs = 0;
  #deaths = 0;
  #isClosing = false;
  /** Lines are written here, since no other thread does. */
  #ownLoop: WriterLoop | undefined;
  #ownTimer: NodeJS.Timeout | undefined;
  #ended: (() => void) | undefined;

  constructor(ring: LineRing, options: WriterOwnerOptions) {
    this.#ring = ring;
    this.#options = options;
    this.#start();
  }

  #start(): void {
    const { file, lingerMs, messageKey } = this.#options;
    const { onError: _, now: __, ...plainFile } = file;
    const workerData: WriterOrder = { ring: this.#ring.handle, file: plainFile, lingerMs, messageKey };
    this.#startedAtMs = performance.now();
    // Flags of this thread (test runners, inspectors) are none of the writer's business.
    const worker = new Worker(new URL('./writer-thread.ts', import.meta.url), {
      workerData,
      name: 'log-writer',
      execArgv: [],
    });
    this.#worker = worker;
    worker.on('message', (news: WriterNews) => this.#tell(news.trouble));
    worker.on('error', (error) => this.#tell(writerTrouble(error.message)));
    worker.on('exit', (code) => this.#noteEnd(code));
    // Last: a listener for messages makes the thread keep the process alive again.
    worker.unref();
  }

  #tell(trouble: ThreadLogTrouble): void {
    const { onError = ({ message, code }) => process.emitWarning(message, { type: 'LogFileError', code }) } =
      this.#options;
    try {
      onError(trouble);
    } catch {
      // A listener's own error must not become the logger's.
    }
  }

  #noteEnd(code: number): void {
    this.#worker = undefined;
    if (this.#isClosing) {
      this.#ended?.();
      if (this.#ring.pendingLines() > 0) this.#writeHere();
      return;
    }
    this.#deaths += 1;
    if (this.#ownLoop === undefined) Atomics.store(this.#ring.words, WORD.writerThread, 0);
    const isLast = this.#deaths > DEATHS_MAX;
    const next = isLast ? 'lines are written by this thread from now on' : 'another one is started';
    this.#tell(writerTrouble(`the thread that writes the log ended with code ${code}; ${next}`));
    if (isLast) this.#writeHere();
    else {
      this.#stopHere();
      this.#start();
    }
  }

  /** Called by this thread while it waits for the writer: it may be the only one that can see that there is none. */
  watch(): void {
    if (this.#ownLoop === undefined) {
      const writer = Atomics.load(this.#ring.words, WORD.writerThread);
      const isStarting = writer === 0 && performance.now() - this.#startedAtMs < START_MS_MAX;
      if (isStarting || (writer !== 0 && isThreadAlive(writer))) return;
    }
    this.#writeHere();
  }

  /** Writes what waits, here and now, and goes on to do so from time to time. */
  #writeHere(): void {
    this.#ownLoop ??= this.#newLoop();
    this.#ownLoop?.pump();
    const period = Math.max(1, this.#options.lingerMs);
    this.#ownTimer ??= setInterval(() => this.#ownLoop?.pump(), period).unref();
  }

  #newLoop(): WriterLoop | undefined {
    const { file, lingerMs, messageKey } = this.#options;
    const notices = new Notices({ messageKey });
    const logFile = new LogFile({ ...file, isWaitless: true, onError: (error) => this.#tell(error) });
    try {
      return new WriterLoop(this.#ring, logFile, {
        durability: file.durability ?? 'none',
        intervalMs: file.intervalMs ?? 100,
        lingerMs,
        path: file.path,
        noticeLine: (lines, reason) => notices.dropped(lines, reason),
      });
    } catch {
      // The writer had only been slow to start.
      logFile.closeSync();
      return undefined;
    }
  }

  #stopHere(): void {
    clearInterval(this.#ownTimer);
    this.#ownTimer = undefined;
    this.#ownLoop?.leave();
    this.#ownLoop = undefined;
  }

  command(command: WriterCommand): void {
    this.#worker?.postMessage(command);
  }

  /** The ring is closed: waits until the writer has written all, or has given up. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#ring.hurry();
    const timer = setTimeout(() => {
      Atomics.store(this.#ring.words, WORD.life, LIFE.abandoned);
      this.#ring.hurry();
    }, CLOSE_MS_MAX);
    if (this.#worker !== undefined) {
      this.#worker.ref();
      await new Promise<void>((resolve) => {
        this.#ended = resolve;
      });
    }
    clearTimeout(timer);
    this.#ownLoop?.pump();
    this.#ownLoop?.close();
    this.#ownLoop = undefined;
    clearInterval(this.#ownTimer);
  }

  /** For tests of its death. */
  get worker(): Worker | undefined {
    return this.#worker;
  }
}

function writerTrouble(message: string): ThreadLogTrouble {
  return { kind: 'thread', code: 'WRITER_ENDED', message, isOver: false };
}
