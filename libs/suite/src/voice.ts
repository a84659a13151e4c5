/**
 * How the supervisor speaks: one prefixed line after the other on the terminal, and each unit's raw lines in a file.
 *
 * Engines are chatty and rarely interesting, so the terminal shows only their errors; the file has everything.
 */
import { join } from 'node:path';
import { FileSink } from '@plinth/file-logger';
import type { Home } from './layout.ts';
import { type LogLine, type Paint, parseLogLine, renderLogLine } from './log-line.ts';

/** Where the supervisor's own lines and the units' output go. */
export interface Voice {
  /** A line of the supervisor, about one unit or the suite. */
  news(line: string, about?: string): void;
  /** A line a unit wrote; returns it parsed. */
  output(unit: { name: string; kind: 'engine' | 'service' }, line: string): LogLine;
  close(): void;
}

/** Two files of this size are kept for each name: enough for a day of a chatty service, and 20 MiB at most. */
const LOG_BYTES_MAX = 10 * 1024 * 1024;

const SUITE = 'plinth';
const NAME_WIDTH = 10;
const COLORS = ['cyan', 'magenta', 'blue', 'green', 'yellow', 'cyanBright', 'magentaBright', 'blueBright'] as const;

/** @param print - Receives each finished line for the terminal. */
export function createVoice({ home, print, paint }: { home: Home; print(line: string): void; paint: Paint }): Voice {
  const files = new Map<string, FileSink>();
  const colors = new Map<string, (typeof COLORS)[number]>();
  const prefixed = (name: string, text: string) => {
    if (!colors.has(name)) colors.set(name, COLORS[colors.size % COLORS.length] as (typeof COLORS)[number]);
    print(`${paint(colors.get(name) ?? 'cyan', name.padEnd(NAME_WIDTH))} ${paint('dim', '│')} ${text}`);
  };
  const fileOf = (name: string) => {
    const file = files.get(name) ?? logFile(join(home.logsDir, `${name}.log`));
    files.set(name, file);
    return file;
  };
  return {
    news(line, about = SUITE) {
      fileOf(SUITE).write(`${new Date().toISOString()} ${about}: ${line}\n`);
      prefixed(about, line);
    },
    output({ name, kind }, line) {
      fileOf(name).write(`${line}\n`);
      const parsed = parseLogLine(line);
      if (kind === 'service' || parsed.level === 'error') prefixed(name, renderLogLine(parsed, paint));
      return parsed;
    },
    close() {
      for (const file of files.values()) file.flushSync();
      files.clear();
    },
  };
}

/** The supervisor's last words are written when it ends, by whatever but SIGKILL. */
const logFile = (path: string): FileSink =>
  new FileSink({ path, rotation: { bytesMax: LOG_BYTES_MAX, keepFiles: 1, compress: false } });
