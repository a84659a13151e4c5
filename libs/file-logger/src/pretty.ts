/**
 * Lines for people: one JSON line in, a time, a level, the message and indented members out.
 *
 *   [2026-11-23 10:15:00.123Z] INFO (api/4711 on host): request done
 *       status: 200
 *
 * Whatever a line holds, no terminal escape gets through: control characters are shown as `\x1b` and the like.
 */
import { STANDARD_LEVELS } from './levels.ts';

/** How lines are printed. */
export interface PrettyOptions {
  /** Default false: see `wantsColours`. */
  colours?: boolean;
  /** Default `msg`. */
  messageKey?: string;
  /** Default `err`. */
  errorKey?: string;
}

/** Controls, what turns the direction of text, and what ends a line: all that can make a terminal show something else. */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/gu;

const RESET = '\u001b[0m';
const CYAN = '\u001b[36m';
const GREY = '\u001b[90m';
const LEVEL_COLOURS: Readonly<Record<number, string>> = {
  10: GREY,
  20: '\u001b[34m',
  30: '\u001b[32m',
  40: '\u001b[33m',
  50: '\u001b[31m',
  60: '\u001b[97;41m',
};

const LABELS = new Map<unknown, string>(Object.entries(STANDARD_LEVELS).map(([label, value]) => [value, label]));
const FIRST_KEYS = new Set(['level', 'time', 'pid', 'hostname', 'name']);
const INDENT = '    ';
/** Beyond this the text of one member is cut, in UTF-16 units: people do not read more. */
const MEMBER_LENGTH_MAX = 100_000;

type Members = Record<string, unknown>;

/** Text that a terminal shows as it is; newlines and tabs stay. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, (found) => {
    const code = found.codePointAt(0)!;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** Whether a stream shows colours: a terminal, unless `NO_COLOR` says no. */
export function wantsColours(
  stream: { isTTY?: boolean },
  environment: Readonly<Record<string, string | undefined>>,
): boolean {
  return stream.isTTY === true && (environment.NO_COLOR ?? '') === '' && environment.TERM !== 'dumb';
}

/**
 * A line for people.
 *
 * @param line - A line of a logger, with or without its newline. What is no JSON object is shown as it is, made safe.
 * @returns One or more lines, with a newline at the end. Never throws.
 */
export function prettyLine(line: string, options: PrettyOptions = {}): string {
  const text = line.replace(/\r?\n$/, '');
  const members = parsed(text);
  return `${members === undefined ? safeText(text) : prettyMembers(members, options)}\n`;
}

function parsed(text: string): Members | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text, exactNumber as (key: string, value: unknown) => unknown) as Members;
  } catch {
    return undefined;
  }
}

/** Digits that a number cannot hold are shown as they stand (Node 20 does not tell them). */
function exactNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  const isRounded = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
  return isRounded && /^-?\d+$/.test(context?.source ?? '') ? context!.source : value;
}

function prettyMembers(members: Members, options: PrettyOptions): string {
  const { messageKey = 'msg', errorKey = 'err', colours = false } = options;
  const paint = (colour: string, text: string): string => (colours && text !== '' ? colour + text + RESET : text);
  const parts = [paint(GREY, timeText(members.time)), levelText(members.level, paint), originText(members)];
  const message = members[messageKey];
  const start = `${parts.filter((part) => part !== '').join(' ')}:`;
  const first = message === undefined ? start : `${start} ${paint(CYAN, oneValue(message, INDENT))}`;
  const rest = Object.keys(members)
    .filter((key) => !FIRST_KEYS.has(key) && key !== messageKey)
    .map((key) => `${INDENT}${paint(GREY, `${oneValue(key, INDENT)}:`)} ${memberText(key, members[key], errorKey)}`);
  return [first, ...rest].join('\n');
}

function timeText(time: unknown): string {
  if (time === undefined) return '';
  const date = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN);
  const shown = Number.isNaN(date.getTime()) ? oneValue(time, INDENT) : date.toISOString().replace('T', ' ');
  return `[${shown}]`;
}

function levelText(level: unknown, paint: (colour: string, text: string) => string): string {
  if (level === undefined) return '';
  const text = LABELS.get(level) ?? (typeof level === 'string' ? level : oneValue(level, INDENT));
  const value = typeof level === 'number' ? level : STANDARD_LEVELS[level as keyof typeof STANDARD_LEVELS];
  return paint(LEVEL_COLOURS[value] ?? '', oneValue(text, INDENT).toUpperCase());
}

/** (name/pid on hostname), as far as they are there. */
function originText({ name, pid, hostname }: Members): string {
  const who = [name, pid].filter((part) => part !== undefined).map((part) => oneValue(part, INDENT));
  const where = hostname === undefined ? [] : [`on ${oneValue(hostname, INDENT)}`];
  const all = [...(who.length === 0 ? [] : [who.join('/')]), ...where].join(' ');
  return all === '' ? '' : `(${all})`;
}

/** An error's stack is shown as lines; its other members after it. */
function memberText(key: string, value: unknown, errorKey: string): string {
  if (key !== errorKey || typeof value !== 'object' || value === null) return oneValue(value, INDENT);
  const { stack, type: _type, message: _message, ...others } = value as Members;
  if (typeof stack !== 'string' || stack === '') return oneValue(value, INDENT);
  const deeper = `${INDENT}${INDENT}`;
  const rest = Object.entries(others).map(
    ([name, other]) => `\n${deeper}${oneValue(name, deeper)}: ${oneValue(other, deeper)}`,
  );
  return indented(safeText(stack), deeper) + rest.join('');
}

/** @param indent - Before each line but the first. */
function oneValue(value: unknown, indent: string): string {
  const text = typeof value === 'string' ? value : jsonText(value);
  const cut = text.length > MEMBER_LENGTH_MAX ? text.slice(0, MEMBER_LENGTH_MAX) : text;
  const more = text.length > cut.length ? ` … ${text.length - cut.length} more characters` : '';
  return indented(safeText(cut), indent) + more;
}

/** A value that came out of JSON goes back into it, unless it is nested too deeply. */
function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value, null, 2) ?? 'undefined';
  } catch {
    return '[nested too deeply to be shown]';
  }
}

function indented(text: string, indent: string): string {
  return text.replaceAll('\n', `\n${indent}`);
}
