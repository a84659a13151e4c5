import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { eventually, tempDir } from '@plinth/testkit';
import type { FileSinkOptions } from '../src/file-sink.ts';
import { countInOrder, parseLines, startVictim } from './file-victim-process.ts';

const dir = tempDir('file-exit');
let files = 0;
const newPath = () => join(dir, `${files++}.log`);
const linesOf = (path: string) => countInOrder(parseLines(readFileSync(path, 'utf8')));

const SINKS: [string, FileSinkOptions][] = [
  ['written by this thread', {}],
  ['written by the thread pool', { sync: false }],
  ['synced by the interval', { durability: 'interval', sync: false }],
];

describe.each(SINKS)('no line is lost, %s,', (_, options) => {
  test.each([
    ['exit', 3],
    ['throw', 1],
    ['reject', 1],
    ['loop', 0],
    ['close', 0],
  ] as const)('when the process ends by %s, and its status is %i', async (ending, code) => {
    const path = newPath();
    const { exited } = startVictim({ sink: { path, lingerMs: 10_000, ...options }, lines: 2_345, ending });
    expect(await exited).toEqual({ code, signal: null });
    expect(linesOf(path)).toBe(2_345);
  });

  test('nor one that an exit handler behind the sink writes', async () => {
    const path = newPath();
    const sink = { path, lingerMs: 10_000, ...options };
    const { exited } = startVictim({ sink, lines: 2_345, ending: 'exit-handler' });
    expect(await exited).toEqual({ code: 3, signal: null });
    expect(linesOf(path)).toBe(2_346);
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('by %s, of which the process then dies', async (signal) => {
    const path = newPath();
    const victim = startVictim({ sink: { path, lingerMs: 10_000, ...options }, lines: 2_345, ending: 'signal' });
    await victim.ready();
    victim.child.kill(signal);
    expect(await victim.exited).toEqual({ code: null, signal });
    expect(linesOf(path)).toBe(2_345);
  });
});

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  'who listens for %s has its own end, and no line is lost',
  async (signal) => {
    const path = newPath();
    const victim = startVictim({ sink: { path, lingerMs: 10_000 }, lines: 2_345, ending: 'listened-signal' });
    await victim.ready();
    victim.child.kill(signal);
    expect(await victim.exited).toEqual({ code: 7, signal: null });
    expect(linesOf(path)).toBe(2_346);
  },
);

describe('standard output', () => {
  test.each<[string, FileSinkOptions]>([
    ['exit', {}],
    ['exit', { whenFull: 'drop-newest', buffersMax: 64 }],
    ['loop', { whenFull: 'drop-newest', buffersMax: 64 }],
  ])('as a pipe that is read slowly loses nothing on %s, with %j', async (ending, options) => {
    const lines = 20_000;
    const sink = { descriptor: 1, ...options };
    const { child, exited } = startVictim({ sink, lines, ending: ending as 'exit', padding: 50 }, { stdout: 'pipe' });
    let text = '';
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      text += chunk;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect((await exited).code).toBe(ending === 'exit' ? 3 : 0);
    expect(countInOrder(parseLines(text))).toBe(lines);
  });

  test('as a closed pipe: counted, told once, and the process lives', async () => {
    const victim = startVictim({ sink: { descriptor: 1 }, lines: 50_000, ending: 'close' }, { stdout: 'pipe' });
    victim.child.stdout?.destroy();
    expect((await victim.exited).code).toBe(0);
    const stats = JSON.parse(victim.told()[0] as string) as {
      written: number;
      pending: number;
      dropped: { failed: number };
    };
    expect(stats.pending).toBe(0);
    expect(stats.written + stats.dropped.failed).toBe(50_000);
    expect(stats.dropped.failed).toBeGreaterThan(0);
    expect(victim.errorText().match(/broken pipe/g)).toHaveLength(1);
  });
});

describe('a FIFO that is read slowly', () => {
  const fifos = mkdtempSync(join(dir, 'fifo-'));
  afterAll(() => rmSync(fifos, { recursive: true, force: true }));

  test('block: holds the caller and loses nothing', async () => {
    const path = join(fifos, 'block');
    execFileSync('mkfifo', [path]);
    const reader = spawn('sh', ['-c', `while dd bs=65536 count=1 2>/dev/null; do sleep 0.02; done < ${path}`, 'sh'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let text = '';
    reader.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    const sink: FileSinkOptions = { path, bufferBytes: 4_096, buffersMax: 4, retryMs: 10 };
    const { exited } = startVictim({ sink, lines: 20_000, ending: 'exit', padding: 50 });
    expect((await exited).code).toBe(3);
    const all = 20_000;
    await eventually(() => text.split('\n').length > all, { timeoutMs: 5_000 }).catch(() => undefined);
    reader.kill();
    expect(countInOrder(parseLines(text))).toBe(all);
  });
});

const hasStrace = spawnSync('strace', ['-V']).status === 0;

test('always: every line is in the file and synced before its call returns', async () => {
  const path = newPath();
  const trace = join(dir, 'strace.txt');
  const under = hasStrace ? ['strace', '-f', '-e', 'trace=fdatasync', '-o', trace] : [];
  const sink: FileSinkOptions = { path, durability: 'always' };
  const { exited } = startVictim({ sink, lines: 40, ending: 'exit' }, { under });
  expect((await exited).code).toBe(3);
  expect(linesOf(path)).toBe(40);
  if (hasStrace) expect(readFileSync(trace, 'utf8').match(/fdatasync\(\d+\)/g)).toHaveLength(40);
});

test('a descriptor that was given stays open, and standard output as a file is appended to', () => {
  const path = newPath();
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND);
  const victim = startVictim({ sink: { descriptor: 1 }, lines: 10, ending: 'close' }, { stdout: fd });
  closeSync(fd);
  return victim.exited.then(({ code }) => {
    expect(code).toBe(0);
    expect(linesOf(path)).toBe(10);
  });
});
