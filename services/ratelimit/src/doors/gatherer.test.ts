import { setImmediate as endOfTurn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { perMinute, testDecider } from './decider.fixture.ts';
import { type Asked, Gatherer } from './gatherer.ts';

/** Checks of one user each; what became of them, by user. */
function asker(gatherer: Gatherer) {
  const answers: Record<string, string> = {};
  const ask = (user: string, more: Partial<Asked> = {}) =>
    gatherer.ask({
      check: { domain: 'api', subjects: [{ entries: [{ key: 'user', value: user }] }], cost: 1, mode: 'take' },
      deadlineMs: undefined,
      trace: undefined,
      answered: ({ limits }) => {
        answers[user] = `${limits[0]!.remaining} left`;
      },
      failed: (error) => {
        answers[user] = (error as Error).message;
      },
      ...more,
    });
  return { ask, answers };
}

const USERS = [{ keys: ['user'], policy: perMinute(10) }];

describe('a decider that answers at once', () => {
  test('is asked for each check by itself, and waits for nothing', () => {
    const decider = testDecider(USERS);
    const { ask, answers } = asker(new Gatherer(decider));
    ask('a');
    expect(answers).toEqual({ a: '9 left' });
    ask('b');
    expect(answers).toEqual({ a: '9 left', b: '9 left' });
    expect(decider.asked.map(({ checks }) => checks.length)).toEqual([1, 1]);
  });

  test('that throws fails its own check alone', () => {
    const decider = testDecider(USERS);
    const { ask, answers } = asker(new Gatherer(decider));
    decider.fault = new Error('no');
    ask('a');
    decider.fault = undefined;
    ask('b');
    expect(answers).toEqual({ a: 'no', b: '9 left' });
  });
});

describe('a decider that answers late', () => {
  test('is asked at once for the first of a turn, and for the rest together at its end', async () => {
    const decider = testDecider(USERS);
    decider.delayMs = 1;
    const { ask, answers } = asker(new Gatherer(decider));
    for (const user of ['a', 'b', 'a2', 'c']) ask(user);
    expect(decider.asked.map(({ checks }) => checks.length)).toEqual([1]);
    await endOfTurn();
    expect(decider.asked.map(({ checks }) => checks.length)).toEqual([1, 3]);
    ask('d');
    expect(decider.asked.map(({ checks }) => checks.length)).toEqual([1, 3, 1]);
    await eventually(() => expect(Object.keys(answers).sort()).toEqual(['a', 'a2', 'b', 'c', 'd']));
  });

  test('gives each answer to its own asker', async () => {
    const decider = testDecider(USERS);
    decider.delayMs = 1;
    const { ask, answers } = asker(new Gatherer(decider));
    ask('x');
    for (let cost = 0; cost < 10; cost++) {
      const check = {
        domain: 'api',
        subjects: [{ entries: [{ key: 'user', value: `u${cost}` }] }],
        cost,
        mode: 'take' as const,
      };
      ask(`u${cost}`, { check });
    }
    await eventually(() => expect(Object.keys(answers)).toHaveLength(11));
    for (let cost = 0; cost < 10; cost++) expect(answers[`u${cost}`]).toBe(`${10 - cost} left`);
  });

  test('has as much time as the most patient of them, without a deadline as much as it wants', async () => {
    const decider = testDecider(USERS);
    decider.delayMs = 1;
    const { ask } = asker(new Gatherer(decider));
    ask('a', { deadlineMs: 5 });
    for (const deadlineMs of [20, 10]) ask('b', { deadlineMs });
    await endOfTurn();
    ask('c');
    ask('d', { deadlineMs: 10 });
    ask('e');
    await endOfTurn();
    expect(decider.asked.map(({ options }) => options?.deadlineMs)).toEqual([5, 20, undefined, undefined]);
  });

  test('is asked for each by itself when it refuses them together', async () => {
    const decider = testDecider(USERS);
    decider.delayMs = 1;
    const { check } = decider;
    decider.check = (checks, options) => {
      if (checks.some(({ subjects }) => subjects[0]!.entries[0]!.value === 'bad')) throw new Error('refused');
      return check(checks, options);
    };
    const { ask, answers } = asker(new Gatherer(decider));
    for (const user of ['a', 'b', 'bad', 'c']) ask(user);
    await eventually(() => expect(answers).toEqual({ a: '9 left', b: '9 left', bad: 'refused', c: '9 left' }));
  });

  test('that fails tells all who wait', async () => {
    const decider = testDecider(USERS);
    decider.check = () => Promise.reject(new Error('away'));
    const { ask, answers } = asker(new Gatherer(decider));
    for (const user of ['a', 'b', 'c']) ask(user);
    await endOfTurn();
    await endOfTurn();
    expect(answers).toEqual({ a: 'away', b: 'away', c: 'away' });
  });

  test('is never asked for more than 1,024 in one piece', async () => {
    const decider = testDecider(USERS);
    decider.delayMs = 1;
    const { ask, answers } = asker(new Gatherer(decider));
    for (let at = 0; at < 3_000; at++) ask(`u${at}`);
    await eventually(() => expect(Object.keys(answers)).toHaveLength(3_000));
    expect(decider.asked.map(({ checks }) => checks.length)).toEqual([1, 1_024, 1_024, 951]);
  });
});
