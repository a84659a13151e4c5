import { describe, expect, test } from '@jest/globals';
import type { Log } from './kit.ts';
import { Life, StopTimeout } from './life.ts';

function life() {
  const lines: string[] = [];
  const add = (msg: string) => void lines.push(msg);
  const log: Log = { debug: add, info: add, warn: add, error: add };
  return { life: new Life(log), lines };
}

describe('a life', () => {
  test('is undone in exactly the reverse order, each step logged', async () => {
    const { life: one, lines } = life();
    const done: string[] = [];
    await one.step(
      'a',
      () => 'made a',
      (made) => void done.push(made),
    );
    await one.step('b', () => {});
    await one.step(
      'c',
      async () => 'made c',
      async (made) => void done.push(made),
    );
    await one.stop(1_000);
    expect(done).toEqual(['made c', 'made a']);
    expect(lines).toEqual(['started a', 'started b', 'started c', 'stopped c', 'stopped a']);
  });

  test('undoes only the steps that were done', async () => {
    const { life: one } = life();
    const done: string[] = [];
    await one.step(
      'a',
      () => {},
      () => void done.push('a'),
    );
    await expect(
      one.step(
        'b',
        () => Promise.reject(new Error('no port')),
        () => void done.push('b'),
      ),
    ).rejects.toThrow('no port');
    await one.stop(1_000);
    expect(done).toEqual(['a']);
  });

  test('undoes the other steps when one fails, and then says so', async () => {
    const { life: one } = life();
    const done: string[] = [];
    await one.step(
      'a',
      () => {},
      () => void done.push('a'),
    );
    await one.step(
      'b',
      () => {},
      () => Promise.reject(new Error('disk')),
    );
    await expect(one.stop(1_000)).rejects.toThrow('disk');
    expect(done).toEqual(['a']);
  });

  test('names the step that it hangs in', async () => {
    const { life: one } = life();
    await one.step(
      'a',
      () => {},
      () => {},
    );
    await one.step(
      'bus',
      () => {},
      () => new Promise<void>(() => {}),
    );
    const stopped = one.stop(20);
    await expect(stopped).rejects.toThrow('it hangs in: bus');
    await expect(stopped).rejects.toBeInstanceOf(StopTimeout);
  });

  test('is over once it was stopped', async () => {
    const { life: one } = life();
    let times = 0;
    await one.step(
      'a',
      () => {},
      () => void times++,
    );
    await one.stop(1_000);
    await one.stop(1_000);
    expect(times).toBe(1);
  });
});
