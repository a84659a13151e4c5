import { describe, expect, test } from '@jest/globals';
import { checkOf, limitOf, ruleOf, verdictOf } from './decisions.fixture.ts';
import { Recorder } from './recorder.ts';

const rule = ruleOf('user');
const shadow = ruleOf('shadow', { shadow: true });
const allowed = (value: string) => verdictOf([limitOf(rule, value)]);
const denied = (value: string) => verdictOf([limitOf(rule, value, { isAllowed: false })]);
const usersOf = (recorder: Recorder) =>
  [...recorder.decisions()].map(({ check }) => check.subjects.map(({ entries }) => entries[0]!.value).join());

describe('a recorder', () => {
  test('gives decisions back in their order, with who said no', () => {
    const recorder = new Recorder();
    recorder.record(checkOf(['ann']), allowed('ann'), 1_000);
    const no = { isAllowed: false };
    const mixed = [undefined, limitOf(rule, 'b', no), limitOf(shadow, 'c', no), limitOf(rule, 'd')];
    recorder.record(checkOf(['a', 'b', 'c', 'd'], { cost: 3 }), verdictOf(mixed), 2_000);
    const [first, second, ...more] = [...recorder.decisions()];
    expect(more).toEqual([]);
    expect([first!.atMs, first!.wasAllowed, first!.wasDenied(0)]).toEqual([1_000, true, false]);
    expect([second!.atMs, second!.wasAllowed, second!.check.cost]).toEqual([2_000, false, 3]);
    expect([0, 1, 2, 3].map(second!.wasDenied)).toEqual([false, true, false, false]);
  });

  test('remembers a denial at the last of 32 places', () => {
    const recorder = new Recorder();
    const values = Array.from({ length: 32 }, (_, at) => `u${at}`);
    const limits = values.map((value, at) => limitOf(rule, value, { isAllowed: at !== 31 }));
    recorder.record(checkOf(values), verdictOf(limits), 0);
    expect(values.map((_, at) => [...recorder.decisions()][0]!.wasDenied(at))).toEqual(
      values.map((_, at) => at === 31),
    );
  });

  test('forgets the oldest when there are as many as may be', () => {
    const recorder = new Recorder({ decisionsMax: 3 });
    expect(recorder.kept).toEqual({ decisions: 0, bytes: 0, fromMs: 0, untilMs: 0, share: 1 });
    for (const [at, user] of ['a', 'b', 'c'].entries()) recorder.record(checkOf([user]), allowed(user), at);
    expect(usersOf(recorder)).toEqual(['a', 'b', 'c']);
    for (const [at, user] of ['d', 'e'].entries()) recorder.record(checkOf([user]), denied(user), 10 + at);
    expect(usersOf(recorder)).toEqual(['c', 'd', 'e']);
    expect(recorder.kept).toMatchObject({ decisions: 3, fromMs: 2, untilMs: 11 });
    expect([...recorder.decisions()].map(({ wasAllowed }) => wasAllowed)).toEqual([true, false, false]);
  });

  test('forgets the oldest when they take as much memory as they may, and never counts it twice', () => {
    const recorder = new Recorder({ bytesMax: 10_000 });
    for (let at = 0; at < 100; at++) recorder.record(checkOf(['x'.repeat(1_000)]), allowed('x'), at);
    const { decisions, bytes } = recorder.kept;
    expect(decisions).toBe(Math.floor(10_000 / (bytes / decisions)));
    expect(bytes).toBeLessThanOrEqual(10_000);
    expect(bytes).toBeGreaterThan(8_000);
    recorder.record(checkOf(['y'.repeat(9_000)]), allowed('y'), 100);
    expect(recorder.kept.decisions).toBe(1);
  });

  test('leaves out a decision that is larger than all it may keep', () => {
    const recorder = new Recorder({ bytesMax: 2_000 });
    recorder.record(checkOf(['small']), allowed('small'), 0);
    recorder.record(checkOf(['x'.repeat(2_000)]), allowed('x'), 1);
    expect(usersOf(recorder)).toEqual(['small']);
  });

  test('gives back what was kept when it was asked, whatever comes meanwhile', () => {
    const recorder = new Recorder({ decisionsMax: 3 });
    for (const [at, user] of ['a', 'b', 'c', 'd'].entries()) recorder.record(checkOf([user]), allowed(user), at);
    const decisions = recorder.decisions();
    for (const user of ['e', 'f']) recorder.record(checkOf([user]), denied(user), 9);
    expect([...decisions].map(({ atMs, wasAllowed }) => [atMs, wasAllowed])).toEqual([
      [1, true],
      [2, true],
      [3, true],
    ]);
  });

  test('of no decisions records none', () => {
    const recorder = new Recorder({ decisionsMax: 0 });
    recorder.record(checkOf(['a']), allowed('a'), 0);
    expect([...recorder.decisions()]).toEqual([]);
    expect(recorder.kept.decisions).toBe(0);
  });
});

describe('under load', () => {
  test('keeps all decisions of a part of the keys, and widens again when it is quiet', () => {
    const recorder = new Recorder();
    const decide = (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        for (let user = 0; user < 1_000; user++)
          recorder.record(checkOf([`user-${user}`]), allowed(`user-${user}`), round);
      }
    };
    decide(3);
    expect(recorder.kept.share).toBeLessThan(1);
    const { share } = recorder.kept;
    recorder.tick();
    const before = recorder.kept.decisions;
    decide(1);
    const added = recorder.kept.decisions - before;
    expect(added / 1_000).toBeGreaterThan(share / 2);
    expect(added / 1_000).toBeLessThan(share * 1.5);
    // A key is there with each of its decisions or with none.
    const counts = Map.groupBy(
      [...recorder.decisions()].slice(before),
      ({ check }) => check.subjects[0]!.entries[0]!.value,
    );
    expect([...counts.values()].every((list) => list.length === 1)).toBe(true);
    for (let second = 0; second < 20; second++) recorder.tick();
    expect(recorder.kept.share).toBe(1);
  });
});
