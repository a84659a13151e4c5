/**
 * Flushing when the process ends: one set of hooks for all sinks of the process.
 *
 * - `exit` covers process.exit(), an uncaught throw, an unhandled rejection and the end of the event loop.
 * - SIGTERM, SIGINT and SIGHUP end a process only while nobody listens for them; then, and only then, this listens:
 *   it flushes and sends the signal again, so that the exit status says what it would have said. As soon as somebody else
 *   listens it steps aside, because libraries that count listeners would otherwise wait for it and it for them.
 * - SIGKILL, an abort and a crash of the runtime cannot be seen by anyone in the process.
 */
import type { EventEmitter } from 'node:events';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
type Signal = (typeof SIGNALS)[number];

/** A sink as the end of the process sees it. */
export interface ExitFlushable {
  /** @returns Whether all is written. */
  flushSync(deadlineMs: number): boolean;
  /** Bytes written so far: tells whether waiting helps. */
  readonly writtenBytes: number;
  /** Lines that wait. */
  readonly pending: number;
  flush(done: (error?: Error) => void): void;
  /** No event loop comes any more, but other exit handlers do, which may log: what is taken from now on is written at once. */
  writeAtOnce?(): void;
}

/** Without a byte of progress for this long, lines are given up. */
const STALL_MS = 2_000;
/** Whatever the progress: a process that must end has to. */
const EXIT_MS_MAX = 30_000;

/** Copies of this module (two versions in one process, a test's own modules) share what the process has once. */
const REGISTRY = Symbol.for('plinth.file-logger.exit-flush.1');

class ExitHooks {
  readonly #sinks = new Set<ExitFlushable>();
  #isSteppingAside = false;
  readonly #onSignal = (signal: Signal): void => this.#endBy(signal);
  readonly #onExit = (): void => {
    this.#flushAll();
    for (const sink of this.#sinks) sink.writeAtOnce?.();
  };
  readonly #onBeforeExit = (): void => this.#flushLater();
  readonly #onNewListener = (name: string | symbol, listener: unknown): void => {
    if (isSignal(name) && listener !== this.#onSignal) this.#stepAside(name);
  };
  readonly #onRemoveListener = (name: string | symbol): void => {
    if (isSignal(name)) this.#listenIfAlone(name);
  };

  add(sink: ExitFlushable): void {
    const isFirst = this.#sinks.size === 0;
    this.#sinks.add(sink);
    // After the sink: signals are listened for only while there is one.
    if (isFirst) this.#install();
  }

  remove(sink: ExitFlushable): void {
    if (this.#sinks.delete(sink) && this.#sinks.size === 0) this.#uninstall();
  }

  #install(): void {
    process.on('exit', this.#onExit);
    process.on('beforeExit', this.#onBeforeExit);
    // Before Node's own: it listens to the signal for a new listener only when nobody is left that it listens for.
    (process as EventEmitter).prependListener('newListener', this.#onNewListener);
    process.on('removeListener', this.#onRemoveListener);
    for (const signal of SIGNALS) this.#listenIfAlone(signal);
  }

  #uninstall(): void {
    process.removeListener('newListener', this.#onNewListener);
    process.removeListener('removeListener', this.#onRemoveListener);
    process.removeListener('exit', this.#onExit);
    process.removeListener('beforeExit', this.#onBeforeExit);
    for (const signal of SIGNALS) process.removeListener(signal, this.#onSignal);
  }

  /** The other one is not there yet: without the mark, this would take itself for the last one and come back. */
  #stepAside(signal: Signal): void {
    this.#isSteppingAside = true;
    process.removeListener(signal, this.#onSignal);
    this.#isSteppingAside = false;
  }

  #listenIfAlone(signal: Signal): void {
    if (!this.#isSteppingAside && process.listenerCount(signal) === 0) process.on(signal, this.#onSignal);
  }

  #endBy(signal: Signal): void {
    this.#flushAll();
    this.#uninstall();
    process.kill(process.pid, signal);
  }

  #flushAll(): void {
    const endMs = performance.now() + EXIT_MS_MAX;
    for (const sink of this.#sinks) {
      for (let before = -1; before < sink.writtenBytes && performance.now() < endMs; ) {
        before = sink.writtenBytes;
        if (sink.flushSync(STALL_MS)) break;
      }
    }
  }

  /** The event loop has nothing left to do: it may as well wait for a slow reader, which `exit` could only do by force. */
  #flushLater(): void {
    for (const sink of this.#sinks) if (sink.pending > 0) sink.flush(() => undefined);
  }
}

function isSignal(name: string | symbol): name is Signal {
  return SIGNALS.includes(name as Signal);
}

/** Has the sink flushed when the process ends. @returns A call that takes it off again. */
export function flushAtExit(sink: ExitFlushable): () => void {
  const holder = process as { [REGISTRY]?: ExitHooks };
  holder[REGISTRY] ??= new ExitHooks();
  const hooks = holder[REGISTRY];
  hooks.add(sink);
  return () => hooks.remove(sink);
}
