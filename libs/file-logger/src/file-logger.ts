/** The door of the library: a logger with pino's calls and lines, that writes to a file. */
import { hostname } from 'node:os';
import { FileSink, type FileSinkOptions } from './file-sink.ts';
import type { LineSink } from './line-sink.ts';
import { Logger } from './logger.ts';
import { rootParts } from './logger-parts.ts';
import type { LineOptions } from './options.ts';

export type { JsonLimits } from './careful-json.ts';
export { type DropNotice, FileSink, type FileSinkOptions } from './file-sink.ts';
export { type Level, type LevelComparison, type LevelMap, STANDARD_LEVELS } from './levels.ts';
export type { Durability, LineSink, SinkStats, WhenFull } from './line-sink.ts';
export { type LevelListener, Logger } from './logger.ts';
export type { Bindings, ChildOptions, Formatters, Hooks, LineOptions, LogMethod, TraceIds } from './options.ts';
export type { RedactOptions } from './redaction.ts';
export { type Serializer, stdSerializers } from './serializers.ts';
export { isoClock, stdTimeFunctions, type TimestampText } from './timestamps.ts';

/** A method of a level of the program's own. */
type CustomCalls<Custom extends string> = Record<
  Custom,
  (object?: unknown, message?: unknown, ...values: unknown[]) => void
>;

/** What makes the lines, and where they go when no sink is given. */
export type LoggerOptions<Custom extends string = never> = LineOptions<Custom> & FileSinkOptions;

/**
 * A logger.
 *
 * @param sink - Takes the lines. By default a `FileSink` made of the same options: to `path`, or to `descriptor`, by
 *   default 1, the standard output.
 * @throws TypeError or RangeError for options that cannot be understood.
 */
export function fileLogger<Custom extends string = never>(
  options: LoggerOptions<Custom> = {},
  sink: LineSink = fileSink(options as LoggerOptions),
): Logger & CustomCalls<Custom> {
  const { name } = options;
  const base = 'base' in options ? options.base : { pid: process.pid, hostname: hostname() };
  const bindings = base === null || name === undefined ? (base ?? undefined) : { ...base, name };
  return new Logger(rootParts(options as LineOptions, sink, bindings)) as Logger & CustomCalls<Custom>;
}

function fileSink(options: LoggerOptions): FileSink {
  return new FileSink(
    options.path === undefined && options.descriptor === undefined ? { ...options, descriptor: 1 } : options,
  );
}
