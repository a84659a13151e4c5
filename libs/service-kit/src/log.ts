/**
 * Structured log lines on standard output: JSON for machines, coloured text on a terminal.
 *
 * Lines of one turn of the event loop are gathered and written by one call, since a `write` per line costs more than
 * making the line. The price: lines of the turn in which the process dies are lost unless `flush` runs; `runService`
 * sees to that on every exit but SIGKILL.
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { trace } from '@opentelemetry/api';
import type { Log } from './kit.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
type LineLevel = Exclude<LogLevel, 'silent'>;
type Fields = Record<string, unknown>;

export interface LogOptions {
  service: string;
  /** Least level written. Default `info`. */
  level?: LogLevel;
  /** Coloured text rather than JSON. Default: whether standard output is a terminal. */
  isReadable?: boolean;
  /** Takes whole lines, each with its newline. Default: standard output, written synchronously. */
  write?: (lines: string) => void;
  /** Milliseconds since 1970. */
  now?: () => number;
}

/** A log that can be made to write what it holds. */
export interface FlushableLog extends Log {
  /** Writes the lines gathered so far. */
  flush(): void;
}

/** Lines gathered at most before they are written within the turn. */
const GATHERED_CHARS_MAX = 65_536;
const COLOURS: Record<LineLevel, string> = { debug: '\x1b[90m', info: '\x1b[36m', warn: '\x1b[33m', error: '\x1b[31m' };

/** Makes a log. Cost of a line: about 2 µs, and nothing but a comparison below the level. */
export function createLog(options: LogOptions): FlushableLog {
  const { service, level = 'info', isReadable = isatty(1), now = Date.now } = options;
  const lines = new GatheredLines(options.write ?? writeToStdout);
  const least = LOG_LEVELS.indexOf(level);
  const render = isReadable ? readableLine : jsonLine;
  const at = (line: LineLevel) =>
    LOG_LEVELS.indexOf(line) < least
      ? () => {}
      : (msg: string, fields?: Fields) => lines.add(render(now(), line, service, msg, fields));
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return { ...log, flush: () => lines.flush() };
}

class GatheredLines {
  readonly #write: (lines: string) => void;
  #text = '';

  constructor(write: (lines: string) => void) {
    this.#write = write;
  }

  add(line: string): void {
    if (this.#text === '') setImmediate(() => this.flush());
    this.#text += line;
    if (this.#text.length > GATHERED_CHARS_MAX) this.flush();
  }

  flush(): void {
    const text = this.#text;
    this.#text = '';
    if (text !== '') this.#write(text);
  }
}

function jsonLine(nowMs: number, level: LineLevel, service: string, msg: string, fields?: Fields): string {
  const line = { time: new Date(nowMs).toISOString(), level, service, msg, ...plain(fields), ...traceFields() };
  return `${toJson(line)}\n`;
}

function readableLine(nowMs: number, level: LineLevel, service: string, msg: string, fields?: Fields): string {
  const time = new Date(nowMs).toISOString().slice(11, 23);
  const rest = Object.entries(plain(fields))
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` \x1b[90m${name}=\x1b[0m${typeof value === 'string' ? value : toJson(value)}`);
  return `\x1b[90m${time}\x1b[0m ${COLOURS[level]}${level.padEnd(5)}\x1b[0m ${service}: ${msg}${rest.join('')}\n`;
}

/** Ids of the active span, so that a line leads to its trace. */
function traceFields(): Fields | undefined {
  const span = trace.getActiveSpan()?.spanContext();
  return span && { trace_id: span.traceId, span_id: span.spanId };
}

/** Errors have no enumerable members: without this they would be logged as `{}`. */
function plain(fields: Fields = {}): Fields {
  for (const value of Object.values(fields)) {
    if (value instanceof Error) {
      return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, describeError(field)]));
    }
  }
  return fields;
}

function describeError(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const cause = value.cause === undefined ? '' : `\ncaused by ${describeError(value.cause)}`;
  return `${value.stack ?? `${value.name}: ${value.message}`}${cause}`;
}

/** A log line must never be the thing that throws. */
function toJson(value: unknown): string {
  try {
    return JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? String(member) : member));
  } catch (error) {
    return JSON.stringify({ level: 'error', msg: 'a log line could not be written', error: String(error) });
  }
}

/**
 * Writes all of it, also to a pipe that is full: when someone made it non-blocking, `writeSync` throws EAGAIN. Gives up
 * when nobody reads any longer.
 */
function writeToStdout(text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
