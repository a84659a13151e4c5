/** Reads the lines that services and engines log, and makes them readable. */
import { styleText } from 'node:util';

/** One line, whoever wrote it. */
export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  /** Clock time as HH:MM:SS.mmm; undefined when the line has none. */
  time: string | undefined;
  message: string;
  fields: Record<string, unknown>;
}

/** Services log JSON; nats-server and Redis have formats of their own; anything else is text. */
export function parseLogLine(line: string): LogLine {
  return parseJson(line) ?? parseNats(line) ?? parseRedis(line) ?? plain(line);
}

/** Text is what Node prints when it crashes, so the line that names the error counts as one. */
function plain(line: string): LogLine {
  return { level: /^(Uncaught )?\w*Error\b/.test(line) ? 'error' : 'info', time: undefined, message: line, fields: {} };
}

function parseJson(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    // The prefix names the service already.
    const { time, level, msg, message, service: _, ...fields } = JSON.parse(line) as Record<string, unknown>;
    return { level: levelOf(level), time: clockTime(time), message: String(msg ?? message ?? ''), fields };
  } catch {
    return undefined;
  }
}

function levelOf(level: unknown): LogLine['level'] {
  const name = String(level).toLowerCase();
  if (name === 'fatal' || name === 'error') return 'error';
  if (name === 'warn' || name === 'warning') return 'warn';
  return name === 'debug' || name === 'trace' ? 'debug' : 'info';
}

function clockTime(time: unknown): string | undefined {
  const date = new Date(time as string | number);
  return Number.isNaN(date.getTime()) ? undefined : date.toTimeString().slice(0, 8) + date.toISOString().slice(19, 23);
}

const NATS_LEVELS: Record<string, LogLine['level']> = {
  DBG: 'debug',
  INF: 'info',
  WRN: 'warn',
  ERR: 'error',
  FTL: 'error',
};

/** `[1234] 2030/01/01 12:00:00.000000 [INF] Server is ready` */
function parseNats(line: string): LogLine | undefined {
  const match = /^\[\d+\] \S+ (\d\d:\d\d:\d\d\.\d{3})\d* \[([A-Z]{3})\] (.*)$/.exec(line);
  if (!match) return undefined;
  const [, time, level = '', message = ''] = match;
  return { level: NATS_LEVELS[level] ?? 'info', time, message, fields: {} };
}

/** `1234:M 01 Jan 2030 12:00:00.000 * Ready to accept connections` */
function parseRedis(line: string): LogLine | undefined {
  const match = /^\d+:[A-Z] \d+ \w+ \d+ (\d\d:\d\d:\d\d\.\d{3}) ([.\-*#]) (.*)$/.exec(line);
  if (!match) return undefined;
  const [, time, mark = '', message = ''] = match;
  return { level: redisLevel(mark, message), time, message, fields: {} };
}

/** Redis marks with # whatever it wants seen, from its version to a failed write: the words decide. */
function redisLevel(mark: string, message: string): LogLine['level'] {
  if (mark !== '#') return mark === '.' || mark === '-' ? 'debug' : 'info';
  return /^WARNING/.test(message) || !/error|fail|fatal|crash|can't|unable/i.test(message) ? 'warn' : 'error';
}

const LEVEL_STYLE = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const;

/** One line for a person: time, level, message, then the fields as name=value. */
export function renderLogLine({ time, level, message, fields }: LogLine, paint: Paint): string {
  const pairs = Object.entries(fields).map(([name, value]) => `${paint('dim', `${name}=`)}${fieldText(value)}`);
  const stamp = paint('dim', time ?? ' '.repeat('00:00:00.000'.length));
  return [stamp, paint(LEVEL_STYLE[level], level.padEnd(5)), message, ...pairs].join(' ');
}

function fieldText(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value);
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

/** Colours text, or leaves it alone when nobody can see colours. */
export type Paint = (style: Parameters<typeof styleText>[0], text: string) => string;

/** Colours on a terminal, unless NO_COLOR is set; FORCE_COLOR paints into a pipe as well. */
export function paintFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): Paint {
  const hasColors = !env.NO_COLOR && (Boolean(env.FORCE_COLOR) || stream.isTTY === true);
  return (style, text) => (hasColors ? styleText(style, text, { validateStream: false }) : text);
}
