/** What loggers are made of. */
import { messageOf } from './json-scalars.ts';
import { LevelHead, LevelState } from './level-state.ts';
import { type LevelMap, levelMap, levelValue, SILENT } from './levels.ts';
import { LineEncoder } from './line-encoder.ts';
import type { LineSink } from './line-sink.ts';
import type { Logger } from './logger.ts';
import type { Bindings, ChildOptions, Formatters, LineOptions } from './options.ts';

/** Heads of the standard levels, and by label of all. */
export interface Heads {
  trace: LevelHead;
  debug: LevelHead;
  info: LevelHead;
  warn: LevelHead;
  error: LevelHead;
  fatal: LevelHead;
  all: Record<string, LevelHead>;
}

/** What a logger is made of; a child is made of its parent's, changed. */
export interface LoggerParts {
  options: LineOptions;
  sink: LineSink;
  encoder: LineEncoder;
  levels: LevelMap;
  heads: Heads;
  state: LevelState;
  /** Members of each line as text, a comma before each. */
  bindings: string;
  parent: Logger | undefined;
}

/** Bindings that are settings of old. */
const RESERVED = new Set(['level', 'serializers', 'formatters', 'customLevels']);

/**
 * Never throws for a member: what cannot be written is said in its place.
 *
 * @param formatter - Those of the root are asked once, for the root; a child has its own or none.
 */
export function bindingsText(encoder: LineEncoder, bindings: Bindings, formatter?: Formatters['bindings']): string {
  const shown = Object.fromEntries(
    keysOf(bindings)
      .filter((key) => !RESERVED.has(key))
      .map((key) => [key, memberOf(bindings, key)]),
  );
  return encoder.bindingsText(formatter === undefined ? shown : formatter(shown));
}

function keysOf(bindings: Bindings): string[] {
  try {
    return Object.keys(bindings);
  } catch {
    return [];
  }
}

function memberOf(bindings: Bindings, key: string): unknown {
  try {
    return bindings[key];
  } catch (error) {
    return `[Throws: ${messageOf(error)}]`;
  }
}

function newHeads(encoder: LineEncoder, levels: LevelMap): Heads {
  const all: Record<string, LevelHead> = {};
  for (const [label, value] of Object.entries(levels.values)) {
    const made = encoder.options.formatters?.level?.(label, value);
    const text = made === undefined ? `,"level":${value}` : encoder.bindingsText(made);
    all[label] = new LevelHead(label, value, `{${text.slice(1)}`);
  }
  const { trace, debug, info, warn, error, fatal } = all as unknown as Heads;
  return { trace, debug, info, warn, error, fatal, all };
}

/** @throws TypeError for a name that is no level. */
export function newState(parts: { levels: LevelMap; options: LineOptions }, label: string): LevelState {
  return new LevelState(parts.levels, parts.options.levelComparison ?? 'ASC', label);
}

/**
 * What a new root logger is made of.
 *
 * @param base - Its bindings; undefined: none, and no formatter is asked for any.
 * @throws TypeError for options that cannot be understood.
 */
export function rootParts(options: LineOptions, sink: LineSink, base: Bindings | undefined): LoggerParts {
  const { customLevels, useOnlyCustomLevels, enabled, level = 'info' } = options;
  const levels = levelMap(customLevels, useOnlyCustomLevels);
  if (levelValue(levels, level) === undefined) {
    throw new TypeError(
      `level ${level} is none of ${Object.keys(levels.values).join(', ')}; use customLevels to add it`,
    );
  }
  const encoder = new LineEncoder(options);
  const state = newState({ levels, options }, enabled === false ? SILENT : level);
  const bindings = base === undefined ? '' : bindingsText(encoder, base, options.formatters?.bindings);
  return { options, sink, encoder, levels, heads: newHeads(encoder, levels), state, bindings, parent: undefined };
}

/** What a child is made of. @throws TypeError for options that cannot be understood. */
export function childParts(
  parent: Logger,
  parts: LoggerParts,
  parentState: LevelState,
  parentBindings: string,
  bindings: Bindings,
  own: ChildOptions,
): LoggerParts {
  const options = childOptions(parts.options, own);
  const isSameKind = own.serializers === undefined && own.redact === undefined && own.formatters === undefined;
  const encoder = isSameKind ? parts.encoder : new LineEncoder(options);
  const levels =
    own.customLevels === undefined ? parts.levels : levelMap(options.customLevels, options.useOnlyCustomLevels);
  const heads = levels === parts.levels ? parts.heads : newHeads(encoder, levels);
  const state = own.level === undefined ? parentState : newState({ levels, options }, own.level);
  const text = parentBindings + bindingsText(encoder, bindings, own.formatters?.bindings);
  return { options, sink: parts.sink, encoder, levels, heads, state, bindings: text, parent };
}

function childOptions(options: LineOptions, own: ChildOptions): LineOptions {
  if (Object.keys(own).length === 0) return options;
  return {
    ...options,
    serializers: { ...options.serializers, ...own.serializers },
    redact: own.redact ?? options.redact,
    formatters: { ...options.formatters, ...own.formatters },
    customLevels: { ...options.customLevels, ...own.customLevels },
    msgPrefix: own.msgPrefix === undefined ? options.msgPrefix : (options.msgPrefix ?? '') + own.msgPrefix,
  };
}
