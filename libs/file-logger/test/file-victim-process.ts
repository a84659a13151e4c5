/** Starts the writer of `file-victim.ts` and reads what it tells. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { eventually } from '@plinth/testkit';
import type { Order } from './file-victim.ts';

const SCRIPT = fileURLToPath(new URL('./file-victim.ts', import.meta.url));
const PINNED = fileURLToPath(new URL('../../../node_modules/node/bin/node', import.meta.url));
const NODE = existsSync(PINNED) ? PINNED : process.execPath;

export interface Victim {
  child: ChildProcess;
  told(): string[];
  errorText(): string;
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  ready(): Promise<unknown>;
}

export interface VictimStart {
  /** What its standard output is. */
  stdout?: 'ignore' | 'pipe' | number;
  /** A program and its arguments that run the victim: strace, for one. */
  under?: string[];
}

export function startVictim(order: Order, { stdout = 'ignore', under = [] }: VictimStart = {}): Victim {
  const [command = NODE, ...args] = [...under, NODE, SCRIPT, JSON.stringify(order)];
  const stdio: StdioOptions = ['ignore', stdout, 'pipe', 'pipe'];
  const child = spawn(command, args, { stdio, env: { ...process.env, NODE_OPTIONS: '' } });
  let told = '';
  let errors = '';
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    told += chunk;
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk;
  });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  // What follows the last newline was cut by the kill.
  const lines = () => told.split('\n').slice(0, -1);
  return {
    child,
    exited,
    told: lines,
    errorText: () => errors,
    ready: () => eventually(() => lines().length > 0, { timeoutMs: 20_000 }),
  };
}

/** The text of a log with all its rotated files, oldest first. */
export function readLog(path: string): string {
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}.2`));
  const texts = names.sort().map((name) => {
    const bytes = readFileSync(join(dirname(path), name));
    return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  });
  return texts.join('') + (existsSync(path) ? readFileSync(path, 'utf8') : '');
}

export interface Numbered {
  by: string;
  n: number;
}

/** Lines as they were written. Throws for a line that is not whole. */
export function parseLines(text: string): Numbered[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Numbered);
}

/** The first place where numbers do not follow each other from 0, or how many there are. */
export function countInOrder(lines: Numbered[], by = 'a'): number | string {
  let next = 0;
  for (const line of lines) {
    if (line.by !== by) continue;
    if (line.n !== next) return `${line.n} where ${next} was due`;
    next += 1;
  }
  return next;
}
