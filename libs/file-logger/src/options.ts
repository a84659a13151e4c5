/** The options of a logger: pino's names and meanings, and a few of our own. */
import type { LevelComparison } from './levels.ts';
import type { Logger } from './logger.ts';
import type { RedactOptions } from './redaction.ts';
import type { Serializer } from './serializers.ts';
import type { TimestampText } from './timestamps.ts';

/** An object of a line. */
export type Bindings = Record<string, unknown>;

/** Change the form of parts of a line. */
export interface Formatters {
  /** The level's part of the line; default `{ level: number }`. Called once for each level. */
  level?(label: string, value: number): object;
  /** The bindings of the logger and of each child; called once for each. */
  bindings?(bindings: Bindings): object;
  /** The object of each call. */
  log?(object: Bindings): object | undefined;
}

/** A logging call for `hooks.logMethod`: `method.apply(this, args)` goes on with it. */
export type LogMethod = (this: Logger, ...args: unknown[]) => void;

/** What may stand between a call and its line. */
export interface Hooks {
  logMethod?(this: Logger, args: unknown[], method: LogMethod, level: number): void;
  /** Sees each line before it is written, its newline included, and answers the one to write. */
  streamWrite?(line: string): string;
}

/** Ids of the trace that a call belongs to. */
export interface TraceIds {
  traceId: string;
  spanId: string;
}

/** What a child may have of its own. */
export interface ChildOptions<Custom extends string = never> {
  level?: string;
  /** Added to the parent's; for equal keys these win. */
  serializers?: Record<string, Serializer>;
  /** In place of the parent's. */
  redact?: RedactOptions;
  formatters?: Formatters;
  customLevels?: Record<Custom, number>;
  /** Appended to the parent's. */
  msgPrefix?: string;
}

/** What makes the lines. */
export interface LineOptions<Custom extends string = never> {
  /** The least level that is written. Default `info`. */
  level?: string;
  /** `name` in each line. */
  name?: string;
  /** Members of each line; default `{ pid, hostname }`. `null` or `undefined`: none. */
  base?: Bindings | null;
  /** `false`: no time. A function makes the text for the line; default milliseconds since 1970. */
  timestamp?: boolean | TimestampText;
  /** Default `msg`. */
  messageKey?: string;
  /** Default `err`. */
  errorKey?: string;
  /** Put the objects of the calls below this key. */
  nestedKey?: string;
  /** For members by their key. The one for errors, at `err`, is there by default. */
  serializers?: Record<string, Serializer>;
  redact?: RedactOptions;
  /** Asked at each call for more members. */
  mixin?(object: Bindings, level: number, logger: Logger): object;
  /** How the mixin's members and the call's object become one; by default the call's win. */
  mixinMergeStrategy?(object: Bindings, mixin: Bindings): Bindings;
  formatters?: Formatters;
  hooks?: Hooks;
  customLevels?: Record<Custom, number>;
  /** The standard levels are not there. */
  useOnlyCustomLevels?: boolean;
  /** Default `ASC`: greater numbers matter more. */
  levelComparison?: LevelComparison;
  /** Before each message. */
  msgPrefix?: string;
  /** `false`: nothing is written. */
  enabled?: boolean;
  /** For objects that JSON cannot hold as they are: nesting that is written. Default 5. */
  depthLimit?: number;
  /** For objects that JSON cannot hold as they are: members of each object that are written. Default 100. */
  edgeLimit?: number;
  /** Lines end with \r\n. */
  crlf?: boolean;
  /** Told of each child. */
  onChild?(child: Logger): void;
  /** Asked at each call; the ids stand in the line as `trace_id` and `span_id`. */
  traceIds?(): TraceIds | undefined;
}
