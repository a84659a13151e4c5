import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { fieldsOf, MESSAGE } from './line.ts';
import type { Ending } from './losing.ts';
import { readOptions } from './options.ts';
import type { CostSample, LossSample } from './processes.ts';
import type { Lane } from './race.ts';
import { PINO_MODES, SUBJECT_NAMES, subjectOf } from './subjects.ts';
import { outcomesOf } from './targets.ts';
import { readBack } from './written-file.ts';

const lane = (name: string, cpuNs: number[], losses: Partial<Record<Ending, LossSample[]>> = {}): Lane => ({
  subject: subjectOf(name),
  costs: cpuNs.map((ns) => ({ cpuNs: ns }) as CostSample),
  losses: { SIGKILL: [], exit: [], throw: [], SIGTERM: [], ...losses },
});
const loss = (lost: number, endedRightly = true): LossSample => ({ called: 100, lost, endedRightly });

describe('the target of cost', () => {
  const pinos = [lane('pino', [3_000]), lane('pino-buffered', [1_000]), lane('pino-transport', [2_000])];

  test('is held against whichever mode of pino is cheapest, and reached at exactly the ratio', () => {
    expect(outcomesOf([lane('plinth', [400]), ...pinos])).toEqual([
      {
        title: 'CPU of a line: plinth, durability none ≤ 0.4 × pino, sync: true, minLength 4096',
        ratio: { median: 0.4, min: 0.4, max: 0.4 },
        reached: true,
      },
    ]);
    expect(outcomesOf([lane('plinth', [401]), ...pinos])[0]).toMatchObject({ reached: false });
  });

  test('compares round by round, and four threads with the transport in four threads alone', () => {
    const ours = lane('plinth-threads', [350, 700, 70]);
    const found = outcomesOf([ours, lane('pino-transports', [1_000, 2_000, 100]), lane('pino-buffereds', [1, 1, 1])]);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ ratio: { median: 0.35, min: 0.35, max: 0.7 }, reached: true });
  });

  test('has no outcome where one side did not run', () => {
    expect(outcomesOf([lane('plinth', [400])])).toEqual([]);
    expect(outcomesOf(pinos)).toEqual([]);
  });
});

describe('the target of losses', () => {
  test('counts ours alone, and a SIGKILL may cost lines', () => {
    const ours = lane('plinth', [], { exit: [loss(0)], SIGKILL: [loss(99)] });
    const theirs = lane('pino', [], { exit: [loss(5)] });
    expect(outcomesOf([ours, theirs])).toEqual([
      { title: 'no line of ours lost at exit, in 1 ends', lost: 0, reached: true },
    ]);
  });

  test('is missed by one line, or by a process that ended otherwise than it was told to', () => {
    const found = outcomesOf([lane('plinth', [], { throw: [loss(0), loss(1)], SIGTERM: [loss(0, false)] })]);
    expect(found).toMatchObject([
      { lost: 1, reached: false },
      { title: 'no line of ours lost at SIGTERM, in 1 ends; 1 ended otherwise', lost: 0, reached: false },
    ]);
  });
});

describe('a file that was written', () => {
  const line = (call: number) =>
    `${JSON.stringify({ level: 30, time: 1, pid: 1, hostname: 'h', ...fieldsOf(call), msg: MESSAGE })}\n`;

  test('has its whole lines counted, not the torn one at its end', () => {
    const path = join(tempDir('written'), 'app.log');
    const text = Array.from({ length: 20_000 }, (_, call) => line(call)).join('');
    writeFileSync(path, `${text}{"level":30,"ti`);
    expect(readBack(path)).toEqual({ lines: 20_000, bytes: text.length + 15 });
    expect(readBack(`${path}.none`)).toEqual({ lines: 0, bytes: 0 });
  });

  test('is refused when its lines are others', () => {
    const path = join(tempDir('written'), 'app.log');
    writeFileSync(path, line(0).replace('"level":30', '"level":40'));
    expect(() => readBack(path)).toThrow('not the line that was logged');
    writeFileSync(path, line(0).replace('"pid":1,', ''));
    expect(() => readBack(path)).toThrow('not the line that was logged');
  });
});

test('rounds last two seconds unless told otherwise, one in a quick run; names are those of the loggers', () => {
  expect(readOptions([])).toMatchObject({ rounds: 5, seconds: 2, losses: true });
  expect(readOptions(['--quick', '--no-losses'])).toMatchObject({ rounds: 1, seconds: 1, losses: false });
  expect(readOptions(['--seconds', '7']).seconds).toBe(7);
  expect([...readOptions(['--only', 'plinth,pino']).names]).toEqual(['plinth', 'pino']);
  expect(() => readOptions(['--only', 'bunyan'])).toThrow('--only knows plinth,');
});

test('every mode of pino that we are held against is a logger of the race, and logs in the main thread', () => {
  expect(PINO_MODES.filter((name) => !SUBJECT_NAMES.includes(name) || subjectOf(name).producers > 0)).toEqual([]);
});
