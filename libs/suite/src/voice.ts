/**
 * How the supervisor speaks: one prefixed line after the other on the terminal, and each unit's raw lines in a file.
 *
 * Engines are chatty and rarely interesting, so the terminal shows only their errors; the file has everything.
 */
import { join } from 'node:path';
import type { Home } from './layout.ts';
import { LogFile } from './log-file.ts';
import { type LogLine, type Paint, parseLogLine, renderLogLine } from './log-line.ts';

/** Where the supervisor's own lines and the units' output go. */
export interface Voice {
  /** A line of the supervisor, about one unit or the suite. */
  news(line: string, about?: string): void;
  /** A line a unit wrote; returns it parsed. */
  output(unit: { name: string; kind: 'engine' | 'service' }, line: string): LogLine;
  close(): void;
}

const SUITE = 'plinth';
const NAME_WIDTH = 10;
const COLORS = ['cyan', 'magenta', 'blue', 'green', 'yellow', 'cyanBright', 'magentaBright', 'blueBright'] as const;

/** @param print - Receives each finished line for the terminal. */
export function createVoice({ home, print, paint }: { home: Home; print(line: string): void; paint: Paint }): Voice {
  const files = new Map<string, LogFile>();
  const colors = new Map<string, (typeof COLORS)[number]>();
  const prefixed = (name: string, text: string) => {
    if (!colors.has(name)) colors.set(name, COLORS[colors.size % COLORS.length] as (typeof COLORS)[number]);
    print(`${paint(colors.get(name) ?? 'cyan', name.padEnd(NAME_WIDTH))} ${paint('dim', '│')} ${text}`);
  };
  const fileOf = (name: string) => {
    const file = files.get(name) ?? new LogFile(join(home.logsDir, `${name}.log`));
    files.set(name, file);
    return file;
  };
  return {
    news(line, about = SUITE) {
      fileOf(SUITE).write(`${new Date().toISOString()} ${about}: ${line}`);
      prefixed(about, line);
    },
    output({ name, kind }, line) {
      fileOf(name).write(line);
      const parsed = parseLogLine(line);
      if (kind === 'service' || parsed.level === 'error') prefixed(name, renderLogLine(parsed, paint));
      return parsed;
    },
    close() {
      for (const file of files.values()) file.close();
      files.clear();
    },
  };
}
