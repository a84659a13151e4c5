/** A process with busy threads ends: what its calls had returned for is in the file, as far as the durability says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { findingsOf, lineOf, logText } from './threads-lines.ts';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const KILLS = process.env.PLINTH_LONG ? 50 : 3;
const PATIENCE_MS = process.env.PLINTH_LONG ? 300_000 : 60_000;
const PAD_MAX = 150;
const RING_BYTES = 262_144;
/** A writer that wants to write may wait this long for a CPU, on a machine that tests keep busy. */
const BUSY_MS = 1_000;

async function startVictim(folder: string, order: object): Promise<ChildProcess> {
  const script = new URL('./threads-victim.ts', import.meta.url).pathname;
  const words = JSON.stringify({ folder, threads: 4, padMax: PAD_MAX, ...order });
  const child = spawn(process.execPath, [script, words], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout!, 'data');
  return child;
}

/** What a thread noted: the number of lines and the time, for each call that returned. */
function notesOf(folder: string, thread: number): Float64Array {
  const path = `${folder}/returned-${thread}`;
  if (!existsSync(path)) return new Float64Array(0);
  const bytes = new Uint8Array(readFileSync(path));
  return new Float64Array(bytes.buffer, 0, Math.floor(bytes.length / 16) * 2);
}

/** Lines whose call returned until a time. */
function returnedUntil(notes: Float64Array, timeMs: number): number {
  let count = 0;
  for (let at = 0; at < notes.length; at += 2) if (notes[at + 1]! <= timeMs) count = notes[at]!;
  return count;
}

interface Loss {
  lines: number;
  /** Of calls that returned before the policy's window. */
  linesBeforeWindow: number;
  bytes: number;
  returned: number;
}

function lossOf(folder: string, windowMs: number, endMs: number): Loss {
  const { last, counts, damaged, missing, unordered } = findingsOf(logText(`${folder}/app.log`), PAD_MAX);
  expect({ damaged, missing, unordered }).toEqual({ damaged: [], missing: 0, unordered: 0 });
  const loss: Loss = { lines: 0, linesBeforeWindow: 0, bytes: 0, returned: 0 };
  for (let thread = 0; thread < 4; thread++) {
    const notes = notesOf(folder, thread);
    const written = counts.get(thread) ?? 0;
    const returned = notes.at(-2) ?? 0;
    expect((last.get(thread) ?? -1) + 1).toBe(written);
    loss.returned += returned;
    loss.lines += Math.max(0, returned - written);
    for (let lost = written; lost < returned; lost++) loss.bytes += Buffer.byteLength(lineOf(thread, lost, PAD_MAX));
    loss.linesBeforeWindow += Math.max(0, returnedUntil(notes, endMs - windowMs) - written);
  }
  return loss;
}

describe('SIGKILL', () => {
  test.each([
    ['none', 10],
    ['interval', 50],
    ['always', 0],
  ] as const)(
    `\`%s\`, at ${KILLS} random moments: at most the policy's window is lost, no line is damaged`,
    async (durability, windowMs) => {
      let lost = 0;
      let returned = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const folder = mkdtempSync(join(tmpdir(), 'threads-kill-'));
        const sink = { durability, intervalMs: 50, ringBytes: RING_BYTES };
        const child = await startVictim(folder, { sink });
        const delayMs = (kill * 7919 + SEED) % 500;
        await new Promise((resolve) => setTimeout(resolve, delayMs));
        const endMs = Date.now();
        child.kill('SIGKILL');
        await once(child, 'exit');
        const loss = lossOf(folder, durability === 'always' ? 0 : windowMs + BUSY_MS, endMs);
        if (durability === 'always')
          expect({ seed: SEED, kill, lost: loss.lines }).toEqual({ seed: SEED, kill, lost: 0 });
        expect({ seed: SEED, kill, lost: loss.linesBeforeWindow }).toEqual({ seed: SEED, kill, lost: 0 });
        // Whatever the clock says: not more than the ring and one batch hold.
        expect(loss.bytes).toBeLessThanOrEqual(RING_BYTES * 2 + 4096);
        lost += loss.lines;
        returned += loss.returned;
        rmSync(folder, { recursive: true });
      }
      process.stdout.write(`seed ${SEED}: ${durability}: ${lost} of ${returned} lines lost in ${KILLS} kills\n`);
      expect(returned).toBeGreaterThan(0);
    },
    PATIENCE_MS,
  );
});

describe.each(['exit', 'throw', 'sigterm'] as const)('the main thread ends by `%s` with 4 busy threads', (end) => {
  test.each(['none', 'always'] as const)('durability `%s`: no line is lost', async (durability) => {
    const folder = mkdtempSync(join(tmpdir(), 'threads-exit-'));
    const child = await startVictim(folder, { sink: { durability, ringBytes: RING_BYTES }, end, afterMs: 200 });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    expect({ code, signal }).toEqual(
      { exit: { code: 3, signal: null }, throw: { code: 1, signal: null }, sigterm: { code: null, signal: 'SIGTERM' } }[
        end
      ],
    );
    const loss = lossOf(folder, 0, Number.POSITIVE_INFINITY);
    expect(loss.returned).toBeGreaterThan(0);
    expect(loss.lines).toBe(0);
    const { counts, isWhole } = findingsOf(logText(`${folder}/app.log`), PAD_MAX);
    expect({ last: counts.get(4) ?? 0, isWhole }).toEqual({ last: end === 'sigterm' ? 0 : 1, isWhole: true });
    rmSync(folder, { recursive: true });
  });
});
