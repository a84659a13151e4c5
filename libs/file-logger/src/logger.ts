// biome-ignore-all lint/complexity/noArguments: a rest parameter would be an array more for each call.
/** The logger: pino's calls. Each makes one line, and hands it to the sink. */
import { EventEmitter } from 'node:events';
import { interpolated, plainText } from './interpolation.ts';
import { messageOf, quoted } from './json-scalars.ts';
import { type LevelHead, type LevelState, PLACES } from './level-state.ts';
import { type LevelMap, levelValue, STANDARD_LEVELS } from './levels.ts';
import type { LineEncoder } from './line-encoder.ts';
import type { LineSink, SinkStats } from './line-sink.ts';
import { bindingsText, childParts, type Heads, type LoggerParts, newState } from './logger-parts.ts';
import type { Bindings, ChildOptions, LogMethod } from './options.ts';
import { nullTime, type TimestampText } from './timestamps.ts';

/** Told of a level that was set: the new one's name and number, the old one's, the logger. */
export type LevelListener = (label: string, value: number, oldLabel: string, oldValue: number, logger: Logger) => void;

/** Writes lines; made by `fileLogger` and `child`. */
export class Logger {
  readonly #parts: LoggerParts;
  readonly #sink: LineSink;
  readonly #encoder: LineEncoder;
  readonly #heads: Heads;
  readonly #prefix: string;
  /** `undefined`: milliseconds since 1970, the plain way. */
  readonly #timestamp: TimestampText | undefined;
  #state: LevelState;
  #bindings: string;
  #emitter: EventEmitter | undefined;
  /** The last beginning of a line, and for which level and millisecond it is good. */
  #head = '';
  #headLevel: LevelHead | undefined;
  #headMs = 0;

  constructor(parts: LoggerParts) {
    const { timestamp, msgPrefix } = parts.options;
    this.#parts = parts;
    this.#sink = parts.sink;
    this.#encoder = parts.encoder;
    this.#heads = parts.heads;
    this.#state = parts.state;
    this.#bindings = parts.bindings;
    this.#prefix = msgPrefix ?? '';
    this.#timestamp = timestamp === false ? nullTime : typeof timestamp === 'function' ? timestamp : undefined;
    this.#addMethods();
  }

  trace(object?: unknown, message?: unknown, ...values: unknown[]): void;
  trace(object?: unknown, message?: unknown): void {
    if ((this.#state.mask & PLACES.trace) === 0) return;
    if (arguments.length < 3) this.#log(this.#heads.trace, object, message, arguments.length);
    else this.#logMany(this.#heads.trace, arguments);
  }

  debug(object?: unknown, message?: unknown, ...values: unknown[]): void;
  debug(object?: unknown, message?: unknown): void {
    if ((this.#state.mask & PLACES.debug) === 0) return;
    if (arguments.length < 3) this.#log(this.#heads.debug, object, message, arguments.length);
    else this.#logMany(this.#heads.debug, arguments);
  }

  info(object?: unknown, message?: unknown, ...values: unknown[]): void;
  info(object?: unknown, message?: unknown): void {
    if ((this.#state.mask & PLACES.info) === 0) return;
    if (arguments.length < 3) this.#log(this.#heads.info, object, message, arguments.length);
    else this.#logMany(this.#heads.info, arguments);
  }

  warn(object?: unknown, message?: unknown, ...values: unknown[]): void;
  warn(object?: unknown, message?: unknown): void {
    if ((this.#state.mask & PLACES.warn) === 0) return;
    if (arguments.length < 3) this.#log(this.#heads.warn, object, message, arguments.length);
    else this.#logMany(this.#heads.warn, arguments);
  }

  error(object?: unknown, message?: unknown, ...values: unknown[]): void;
  error(object?: unknown, message?: unknown): void {
    if ((this.#state.mask & PLACES.error) === 0) return;
    if (arguments.length < 3) this.#log(this.#heads.error, object, message, arguments.length);
    else this.#logMany(this.#heads.error, arguments);
  }

  /** As the others, and returns after the line and all before it are written: the process may be about to end. */
  fatal(object?: unknown, message?: unknown, ...values: unknown[]): void;
  fatal(): void {
    if ((this.#state.mask & PLACES.fatal) === 0) return;
    this.#logMany(this.#heads.fatal, arguments);
    this.#sink.flushSync();
  }

  /** Does nothing. */
  silent(): void {}

  /**
   * A logger that writes more members in each line.
   *
   * @throws TypeError without bindings, or for options that cannot be understood.
   */
  child<Custom extends string = never>(
    bindings: Bindings,
    options: ChildOptions<Custom> = {},
  ): Logger & Record<Custom, (object?: unknown, message?: unknown, ...values: unknown[]) => void> {
    if (bindings === undefined || bindings === null) throw new TypeError('child: bindings are missing');
    const child = new Logger(
      childParts(this, this.#parts, this.#state, this.#bindings, bindings, options as ChildOptions),
    );
    this.#parts.options.onChild?.(child);
    return child as never;
  }

  /** The members of each line, without `pid` and `hostname`. */
  bindings(): Bindings {
    const { pid: _pid, hostname: _hostname, ...bindings } = JSON.parse(`{${this.#bindings.slice(1)}}`) as Bindings;
    return bindings;
  }

  /** Adds members to each line from now on; children made before keep what they had. */
  setBindings(bindings: Bindings): void {
    this.#bindings += bindingsText(this.#encoder, bindings);
    this.#headLevel = undefined;
  }

  get level(): string {
    return this.#state.label;
  }

  /** @throws TypeError for a name that is no level. */
  set level(label: string) {
    const { label: oldLabel, value: oldValue } = this.#state;
    // A child without a level of its own has one from here on.
    const { parent } = this.#parts;
    if (parent !== undefined && this.#state === parent.#state) this.#state = newState(this.#parts, label);
    else this.#state.set(label);
    this.#tell(label, this.#state.value, oldLabel, oldValue, this);
  }

  /** The number of the level. */
  get levelVal(): number {
    return this.#state.value;
  }

  /** All levels: names to numbers, numbers to names. */
  get levels(): LevelMap {
    return this.#parts.levels;
  }

  /** What stands before each message, if anything. */
  get msgPrefix(): string | undefined {
    return this.#parts.options.msgPrefix;
  }

  /** Whether a level of that name is written. */
  isLevelEnabled(label: string): boolean {
    const value = levelValue(this.#parts.levels, label);
    return value !== undefined && this.#state.allows(value);
  }

  /** Calls back when all lines so far are written. */
  flush(done?: (error?: Error) => void): void {
    this.#sink.flush(done);
  }

  /** As `flush`, but returns only then; gives up after `deadlineMs` (default 2,000). @returns Whether all were written. */
  flushSync(deadlineMs?: number): boolean {
    return this.#sink.flushSync(deadlineMs);
  }

  /** Counts of the lines of all loggers of this sink. */
  stats(): SinkStats {
    return this.#sink.stats();
  }

  /** Writes what is left and lets go of the file, for this logger, its parents and its children. */
  close(): Promise<void> {
    return this.#sink.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#sink.close();
  }

  /** Tells the listener of each level that is set here or in a child. */
  on(event: 'level-change', listener: LevelListener): this {
    this.#emitter ??= new EventEmitter();
    this.#emitter.on(event, listener);
    return this;
  }

  /** As `on`, for the next time only. */
  once(event: 'level-change', listener: LevelListener): this {
    this.#emitter ??= new EventEmitter();
    this.#emitter.once(event, listener);
    return this;
  }

  off(event: 'level-change', listener: LevelListener): this {
    this.#emitter?.off(event, listener);
    return this;
  }

  addListener(event: 'level-change', listener: LevelListener): this {
    return this.on(event, listener);
  }

  removeListener(event: 'level-change', listener: LevelListener): this {
    return this.off(event, listener);
  }

  #tell(...change: Parameters<LevelListener>): void {
    this.#emitter?.emit('level-change', ...change);
    const { parent } = this.#parts;
    if (parent !== undefined) parent.#tell(...change);
  }

  /** Levels of the program's own, and hooks, are methods of the instance. */
  #addMethods(): void {
    const { levels, heads, options } = this.#parts;
    const logMethod = options.hooks?.logMethod;
    const instance = this as unknown as Record<string, unknown>;
    for (const label of Object.keys(STANDARD_LEVELS)) {
      if (levels.values[label] === undefined) instance[label] = undefined;
    }
    for (const [label, head] of Object.entries(heads.all)) {
      if (logMethod === undefined && Object.hasOwn(STANDARD_LEVELS, label)) continue;
      instance[label] = (...args: unknown[]): void => {
        if (!this.#state.allows(head.value)) return;
        if (logMethod === undefined) this.#logMany(head, args);
        else this.#hooked(head, args, logMethod.bind(this));
        if (label === 'fatal') this.#sink.flushSync();
      };
    }
  }

  #hooked(head: LevelHead, args: unknown[], hook: (args: unknown[], method: LogMethod, level: number) => void): void {
    let lines = 0;
    const method = (...changed: unknown[]): void => {
      lines++;
      this.#logMany(head, changed);
    };
    try {
      hook(args, method, head.value);
    } catch (error) {
      if (lines === 0) this.#log(head, { logErrors: [`hooks.logMethod: ${messageOf(error)}`] }, args.find(isText), 2);
    }
  }

  /** @param count - How many of the two were given. */
  #log(head: LevelHead, object: unknown, message: unknown, count: number): void {
    if (typeof object === 'string') {
      const text = count === 1 ? object : this.#shown(object, [message], 0);
      this.#write(this.#encoder.textLine(this.#lineHead(head), this.#prefix + text, head.value, this));
    } else if (typeof object === 'object' && object !== null) {
      const text = this.#prefix === '' ? message : this.#prefixed(message);
      this.#write(this.#encoder.line(this.#lineHead(head), object, text, head.value, this));
    } else {
      const isLeftOut = object === undefined || (object === null && message !== undefined);
      this.#write(
        this.#encoder.line(this.#lineHead(head), null, this.#prefixed(isLeftOut ? message : object), head.value, this),
      );
    }
  }

  /** A call with any number of arguments: the values for the message are put in their places. */
  #logMany(head: LevelHead, args: ArrayLike<unknown>): void {
    const { length, 0: object, 1: message } = args;
    if (length < 3) this.#log(head, object, message, length);
    else if (typeof object === 'string') this.#log(head, this.#shown(object, args, 1), undefined, 1);
    else this.#log(head, object, typeof message === 'string' ? this.#shown(message, args, 2) : message, 2);
  }

  #shown(format: string, args: ArrayLike<unknown>, from: number): string {
    return interpolated(format, args, from, this.#encoder.json);
  }

  #prefixed(message: unknown): unknown {
    if (this.#prefix === '' || message === undefined || message === null) return message;
    try {
      return this.#prefix + plainText(message);
    } catch {
      return message;
    }
  }

  #lineHead(level: LevelHead): string {
    const { traceIds } = this.#parts.options;
    if (this.#timestamp !== undefined) {
      const head = `${level.text}${this.#timeText(this.#timestamp)}${this.#bindings}`;
      return traceIds === undefined ? head : head + this.#traceText();
    }
    const nowMs = Date.now();
    if (nowMs !== this.#headMs || level !== this.#headLevel) {
      this.#headMs = nowMs;
      this.#headLevel = level;
      this.#head = `${level.text},"time":${nowMs}${this.#bindings}`;
    }
    return traceIds === undefined ? this.#head : this.#head + this.#traceText();
  }

  #timeText(timestamp: TimestampText): string {
    try {
      return timestamp();
    } catch (error) {
      return `,"time":${Date.now()},"timeError":${quoted(messageOf(error))}`;
    }
  }

  #traceText(): string {
    try {
      const ids = this.#parts.options.traceIds!();
      if (ids === undefined || ids === null) return '';
      return `,"trace_id":${quoted(String(ids.traceId))},"span_id":${quoted(String(ids.spanId))}`;
    } catch (error) {
      return `,"traceError":${quoted(messageOf(error))}`;
    }
  }

  #write(line: string): void {
    const hook = this.#parts.options.hooks?.streamWrite;
    if (hook === undefined) this.#sink.write(line);
    else this.#sink.write(changedLine(line, hook));
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function changedLine(line: string, hook: (line: string) => string): string {
  try {
    return String(hook(line));
  } catch {
    return line;
  }
}
