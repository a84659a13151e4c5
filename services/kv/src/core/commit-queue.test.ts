import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { eventually, ManualClock } from '@plinth/testkit';
import type { Command, CommandRecord, Outcome } from './command.ts';
import { CommitQueue, type CommitQueueOptions } from './commit-queue.ts';
import { ScriptedLog } from './scripted-log.fixture.ts';

const named = (name: string): Command => ({ do: 'dropBucket', bucket: Number(name) });
const namesOf = ({ commands }: CommandRecord): string =>
  commands.map((command) => (command as { bucket: number }).bucket).join(' ');

function queueOn(log: ScriptedLog | undefined = new ScriptedLog(), more: Partial<CommitQueueOptions> = {}) {
  const clock = new ManualClock();
  const applied: string[] = [];
  const ends: number[] = [];
  const observed: string[] = [];
  const queue = new CommitQueue(
    {
      log,
      now: clock.now,
      elapsed: () => performance.now(),
      recordTime: clock.now,
      commitTimeoutMs: 10_000,
      apply: (end, record) => {
        applied.push(namesOf(record));
        ends.push(end);
        return record.commands.map((command) => ({ revision: (command as { bucket: number }).bucket, results: [] }));
      },
      observer: {
        began: (callers, commands, bytes) => {
          observed.push(`began ${callers.map(({ context }) => context).join(' ')}: ${commands}, ${bytes > 0}`);
          return (error) => void observed.push(`ended ${(error as Problem | undefined)?.code ?? 'well'}`);
        },
      },
      ...more,
    },
    0,
  );
  const submit = (name: string, options = {}) => queue.submit([named(name)], options).then(([first]) => told(first!));
  return { queue, log: log!, clock, applied, ends, observed, submit };
}

const told = (outcome: Outcome): number | string => (outcome instanceof Problem ? outcome.code : outcome.revision);
const codeOf = (error: unknown): string => (error as Problem).code;

describe('group commit', () => {
  it('puts everything submitted in one turn into one record', async () => {
    const { submit, log, applied } = queueOn();
    await expect(Promise.all(['1', '2', '3'].map((name) => submit(name)))).resolves.toEqual([1, 2, 3]);
    expect(applied).toEqual(['1 2 3']);
    expect(log.commands.map(namesOf)).toEqual(['1 2 3']);
  });

  it('puts what comes while the disk is busy into the next record, in order', async () => {
    const { submit, log, applied, observed } = queueOn();
    const answers: number[] = [];
    log.hold();
    const first = submit('1', { context: 'one' }).then((answer) => answers.push(answer as number));
    await nextTurn();
    await nextTurn();
    const later = ['2', '3'].map((name) => submit(name).then((answer) => answers.push(answer as number)));
    await nextTurn();
    expect(applied).toEqual([]);
    log.release();
    await Promise.all([first, ...later]);
    expect(applied).toEqual(['1', '2 3']);
    expect(answers).toEqual([1, 2, 3]);
    expect(observed).toEqual(['began one: 1, true', 'began : 2, true', 'ended well', 'ended well']);
  });

  it('applies and answers a record while the next one is on its way to the disk', async () => {
    const { submit, log } = queueOn();
    log.hold();
    const first = submit('1');
    await nextTurn();
    const second = submit('2');
    await nextTurn();
    log.release();
    log.hold();
    await expect(first).resolves.toBe(1);
    expect(log.isBusy).toBe(true);
    log.release();
    await expect(second).resolves.toBe(2);
  });

  it('answers several commands submitted together in their order', async () => {
    const { queue, submit } = queueOn();
    const before = submit('1');
    const outcomes = await queue.submit(['2', '3'].map(named));
    expect(outcomes.map(told)).toEqual([2, 3]);
    await expect(before).resolves.toBe(1);
  });

  it('ends a record at 1,000 commands, and does not tear those submitted together', async () => {
    const { queue, log } = queueOn();
    const many = (count: number) => queue.submit(Array.from({ length: count }, (_, at) => named(String(at))));
    await Promise.all([many(999), many(1), many(2), many(1_500)]);
    expect(log.commands.map(({ commands }) => commands.length)).toEqual([1_000, 2, 1_500]);
  });

  it('ends a record when its commands are more than 8 MiB', async () => {
    const { submit, log } = queueOn();
    const bytes = 5 * 1_048_576;
    await Promise.all(['1', '2', '3'].map((name) => submit(name, { bytes })));
    expect(log.commands.map(namesOf)).toEqual(['1 2', '3']);
  });

  it('gives each record the time at which it was taken', async () => {
    const { submit, log, clock } = queueOn();
    const start = clock.now();
    await submit('1');
    clock.advance(5);
    await submit('2');
    expect(log.commands.map(({ timeMs }) => timeMs - start)).toEqual([0, 5]);
  });

  it('without a log numbers records, and lets others have their turn between them', async () => {
    const { submit, ends } = queueOn(undefined, { log: undefined });
    let turns = 0;
    const counting = setInterval(() => turns++, 0);
    for (let round = 0; round < 200; round++) await submit('1');
    clearInterval(counting);
    expect(turns).toBeGreaterThan(0);
    await Promise.all([submit('1'), submit('2')]);
    expect(ends).toEqual(Array.from({ length: 201 }, (_, at) => at + 1));
  });

  it('lets a bug in the state machine crash the process: nothing after it could be trusted', () => {
    const victim = join(import.meta.dirname, 'commit-queue.victim.ts');
    const { status, stdout, stderr } = spawnSync(process.execPath, [victim], { encoding: 'utf8' });
    expect(stderr).toContain('a bug in the machine');
    expect([status, stdout]).toEqual([1, '']);
  });
});

describe('giving up', () => {
  it('refuses a command whose deadline has come before it was taken, and does not do it', async () => {
    const { submit, clock, log } = queueOn();
    const late = submit('1', { deadlineMs: clock.now() }).catch(codeOf);
    const inTime = submit('2', { deadlineMs: clock.now() + 1 });
    await expect(late).resolves.toBe('deadline_exceeded');
    await expect(inTime).resolves.toBe(2);
    expect(log.commands.map(namesOf)).toEqual(['2']);
  });

  it('refuses a command whose caller has gone before it was taken', async () => {
    const { submit, log } = queueOn();
    const gone = AbortSignal.abort();
    await expect(submit('1', { signal: gone }).catch(codeOf)).resolves.toBe('deadline_exceeded');
    expect(log.records).toEqual([]);
  });

  it('does what was taken in time, whatever its deadline', async () => {
    const { submit, clock, log } = queueOn();
    log.hold();
    const taken = submit('1', { deadlineMs: clock.now() + 10 });
    await eventually(() => log.isBusy);
    clock.advance(1_000);
    log.release();
    await expect(taken).resolves.toBe(1);
  });

  it('tells those who wait behind a disk that hangs when their deadline has come', async () => {
    const { submit, queue, clock, log, applied } = queueOn();
    log.hold();
    const first = submit('1');
    await eventually(() => log.isBusy);
    const waiting = submit('2', { deadlineMs: clock.now() + 50 }).catch(codeOf);
    const patient = submit('3');
    clock.advance(50);
    await expect(waiting).resolves.toBe('deadline_exceeded');
    expect(queue.waiting).toBe(1);
    log.release();
    await expect(Promise.all([first, patient])).resolves.toEqual([1, 3]);
    expect(applied).toEqual(['1', '3']);
  });
});

describe('a disk in trouble', () => {
  it.each([
    ['ENOSPC', 'disk_full'],
    ['EDQUOT', 'disk_full'],
    ['EIO', 'unavailable'],
  ])('%s is told as %s, nothing was done, and the next write works', async (code, problem) => {
    const { submit, log, applied, observed } = queueOn();
    log.failures.push(code);
    await expect(Promise.all(['1', '2'].map((name) => submit(name).catch(codeOf)))).resolves.toEqual([
      problem,
      problem,
    ]);
    await expect(submit('3')).resolves.toBe(3);
    expect(applied).toEqual(['3']);
    expect(observed[1]).toBe(`ended ${problem}`);
  });

  it('refuses one record and takes the next that waits already', async () => {
    const { submit, log, applied } = queueOn();
    log.hold();
    log.failures.push('ENOSPC');
    const first = submit('1').catch(codeOf);
    await eventually(() => log.isBusy);
    const second = submit('2');
    log.release();
    await expect(Promise.all([first, second])).resolves.toEqual(['disk_full', 2]);
    expect(applied).toEqual(['2']);
  });

  it('a broken log leaves the outcome of its record unknown, and everything else is refused as not done', async () => {
    const { submit, queue, log, applied } = queueOn();
    log.hold();
    log.failures.push('LOG_BROKEN');
    const underWay = submit('1').catch(codeOf);
    await eventually(() => log.isBusy);
    const waiting = submit('2').catch(codeOf);
    log.release();
    await expect(underWay).resolves.toBe('outcome_unknown');
    await expect(waiting).resolves.toBe('unavailable');
    await expect(submit('3').catch(codeOf)).resolves.toBe('unavailable');
    await queue.idle();
    expect(applied).toEqual([]);
    expect(queue.waiting).toBe(0);
  });

  it('a broken log is not forgotten when there is room again', async () => {
    const { submit, queue, log } = queueOn();
    log.failures.push('LOG_BROKEN');
    await submit('1').catch(codeOf);
    queue.pause(undefined);
    await expect(submit('2').catch(codeOf)).resolves.toBe('unavailable');
  });

  it('that does not answer in time leaves the outcome unknown, and the write is applied when it does', async () => {
    const { submit, log, applied } = queueOn(new ScriptedLog(), { commitTimeoutMs: 30 });
    log.hold();
    await expect(submit('1').catch(codeOf)).resolves.toBe('outcome_unknown');
    expect(applied).toEqual([]);
    log.release();
    await eventually(() => expect(applied).toEqual(['1']));
    await expect(submit('2')).resolves.toBe(2);
  });
});

describe('bounds', () => {
  const busy = async () => {
    const test = queueOn();
    test.log.hold();
    const first = test.submit('1');
    await eventually(() => test.log.isBusy);
    return { ...test, first };
  };

  it('takes 20,000 waiting commands and refuses one more as overloaded', async () => {
    const { queue, log, submit, first } = await busy();
    const half = () => queue.submit(Array.from({ length: 10_000 }, () => named('2')));
    const waiting = [half(), half()];
    expect(queue.waiting).toBe(20_000);
    await expect(submit('3').catch(codeOf)).resolves.toBe('overloaded');
    log.release();
    await Promise.all([first, ...waiting]);
    await expect(submit('3')).resolves.toBe(3);
    expect(queue.waiting).toBe(0);
  });

  it('takes 64 MiB of waiting commands and refuses more', async () => {
    const { submit, log, first } = await busy();
    const waiting = submit('2', { bytes: 64 * 1_048_576 - 1 });
    const last = submit('3', { bytes: 1 });
    await expect(submit('4', { bytes: 1 }).catch(codeOf)).resolves.toBe('overloaded');
    log.release();
    await expect(Promise.all([first, waiting, last])).resolves.toEqual([1, 2, 3]);
  });

  it('takes a single submission that is larger than the bound when nothing waits', async () => {
    const { submit } = queueOn();
    await expect(submit('1', { bytes: 100 * 1_048_576 })).resolves.toBe(1);
  });
});

describe('refusing', () => {
  it('for now ends when it is told so', async () => {
    const { submit, queue } = queueOn();
    queue.pause(new Problem('overloaded', 'no room'));
    await expect(submit('1').catch(codeOf)).resolves.toBe('overloaded');
    queue.pause(undefined);
    await expect(submit('1')).resolves.toBe(1);
  });

  it('for good lets those who wait end and never ends itself', async () => {
    const { submit, queue } = queueOn();
    const waiting = submit('1');
    queue.close(new Problem('stopping', 'bye'));
    queue.pause(undefined);
    await expect(submit('2').catch(codeOf)).resolves.toBe('stopping');
    await queue.idle();
    await expect(waiting).resolves.toBe(1);
  });

  it('idle is at once when nothing is under way', async () => {
    await expect(queueOn().queue.idle()).resolves.toBeUndefined();
  });
});
