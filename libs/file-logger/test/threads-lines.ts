/** Lines whose every byte follows from their thread and number, so that a reader can tell what is wrong with each. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const PADS = ['a', 'ä', '€', '😀'];

/** A line of about 30 bytes and a pad of up to `padMax` characters; one in eight is not ASCII. */
export function lineOf(thread: number, number: number, padMax: number): string {
  const mixed = Math.imul(thread * 7919 + number + 1, 0x9e3779b1) >>> 0;
  const pad = PADS[(mixed & 7) === 0 ? 1 + ((mixed >>> 3) % 3) : 0]!;
  return `{"t":${thread},"n":${number},"pad":"${pad.repeat(padMax === 0 ? 0 : (mixed >>> 5) % padMax)}"}\n`;
}

export interface Findings {
  /** By thread: how many of its numbers are there. */
  counts: Map<number, number>;
  /** By thread: the greatest number. */
  last: Map<number, number>;
  /** Lines that are not what their thread wrote. */
  damaged: string[];
  /** Lines whose number is not greater than the one before, of the same thread. */
  unordered: number;
  /** Numbers that were left out, of all threads. */
  missing: number;
  /** Lines that the log wrote itself, by reason: the sum of what they tell. */
  told: Record<string, number>;
  /** Does the file end with a whole line? */
  isWhole: boolean;
}

/** Lines whose call returned in threads that were ended, and that are not there. @param returned - By thread. */
export function lostOf(returned: Int32Array, { counts }: Findings): number {
  return sum([...returned].map((lines, thread) => Math.max(0, lines - (counts.get(thread) ?? 0))));
}

/** Reads what threads wrote with `lineOf`. */
export function findingsOf(text: string, padMax: number): Findings {
  const findings: Findings = {
    counts: new Map(),
    last: new Map(),
    damaged: [],
    unordered: 0,
    missing: 0,
    told: {},
    isWhole: true,
  };
  const lines = text.split('\n');
  findings.isWhole = lines.pop() === '';
  for (const line of lines) note(findings, line, padMax);
  return findings;
}

function note(findings: Findings, line: string, padMax: number): void {
  const { t, n, msg, reason } = parsed(line);
  if (reason !== undefined) {
    findings.told[reason] = (findings.told[reason] ?? 0) + Number(/^\d+/.exec(msg ?? '')?.[0] ?? 1);
  } else if (t === undefined || n === undefined || `${line}\n` !== lineOf(t, n, padMax)) {
    findings.damaged.push(line);
  } else {
    const last = findings.last.get(t) ?? -1;
    if (n <= last) findings.unordered += 1;
    else findings.missing += n - last - 1;
    findings.last.set(t, Math.max(last, n));
    findings.counts.set(t, (findings.counts.get(t) ?? 0) + 1);
  }
}

function parsed(line: string): { t?: number; n?: number; msg?: string; reason?: string } {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}

/** The text of a log with its rotated files, oldest first. */
export function logText(path: string): string {
  const folder = dirname(path);
  const rotated = readdirSync(folder).filter(
    (name) => name.startsWith(`${basename(path)}.`) && !name.endsWith('.lock'),
  );
  const files = [...rotated.sort().map((name) => join(folder, name)), path].filter((file) => existsSync(file));
  return files.map((file) => readFileSync(file, 'utf8')).join('');
}

export const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, number) => total + number, 0);
