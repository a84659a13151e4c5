import { describe, expect, test } from '@jest/globals';
import { CommitGroup } from './commit-group.ts';

/** A store that answers when it is told to, and remembers what it was asked. */
function heldStore() {
  const calls: { items: readonly number[]; answer(): void; fail(error: Error): void }[] = [];
  const commit = (items: readonly number[]) =>
    new Promise<string[]>((resolve, reject) => {
      calls.push({ items, answer: () => resolve(items.map((item) => `done ${item}`)), fail: reject });
    });
  return { calls, commit };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a commit group', () => {
  test('sends what arrives in one turn in one call, and what arrives during it in the next', async () => {
    const { calls, commit } = heldStore();
    const group = new CommitGroup({ commit, itemsMax: 1_000, waitingMax: 100, noun: 'jobs' });
    const first = [group.add([1]), group.add([2, 3])];
    await turn();
    const second = [group.add([4]), group.add([5])];
    await turn();
    expect(calls.map(({ items }) => items)).toEqual([[1, 2, 3]]);
    calls[0]!.answer();
    expect(await Promise.all(first)).toEqual([['done 1'], ['done 2', 'done 3']]);
    await turn();
    expect(calls.map(({ items }) => items)).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
    calls[1]!.answer();
    expect(await Promise.all(second)).toEqual([['done 4'], ['done 5']]);
    expect(group.isIdle).toBe(true);
  });

  test('waits for a moment behind a crowd, and for nothing behind one', async () => {
    const sizes: number[] = [];
    const group = new CommitGroup<number, number>({
      commit: async (items) => {
        sizes.push(items.length);
        await turn();
        return [...items];
      },
      ...{ itemsMax: 1_000, waitingMax: 1_000, noun: 'jobs' },
    });
    const client = async (calls: number) => {
      for (let at = 0; at < calls; at++) {
        await group.add([at]);
        // They do not come all in one turn.
        for (let turns = 0; turns < at % 3; turns++) await turn();
      }
    };
    await Promise.all(Array.from({ length: 40 }, () => client(20)));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(800);
    expect(sizes.length).toBeLessThan(60);
    await client(2);
    // Ten of the calls, nine of the client; whoever waits for more takes one more a call at least.
    const over = client(10).then(() => true);
    let turns = 0;
    for (; !(await Promise.race([over, turn().then(() => false)])); turns++);
    expect(turns).toBeLessThan(25);
    expect(sizes.slice(-10)).toEqual(Array.from({ length: 10 }, () => 1));
  });

  test('never makes a call longer than it may be, and never cuts a part in two', async () => {
    const { calls, commit } = heldStore();
    const group = new CommitGroup({ commit, itemsMax: 3, waitingMax: 100, noun: 'jobs' });
    const parts = [group.add([1, 2]), group.add([3]), group.add([4]), group.add([5, 6, 7, 8])];
    for (let at = 0; at < 3; at++) {
      await turn();
      calls[at]!.answer();
    }
    await Promise.all(parts);
    expect(calls.map(({ items }) => items)).toEqual([[1, 2, 3], [4], [5, 6, 7, 8]]);
  });

  test('a failed call fails those in it alone', async () => {
    const { calls, commit } = heldStore();
    const group = new CommitGroup({ commit, itemsMax: 10, waitingMax: 100, noun: 'jobs' });
    const first = group.add([1]);
    await turn();
    const second = group.add([2]);
    calls[0]!.fail(new Error('away'));
    await expect(first).rejects.toThrow('away');
    await turn();
    calls[1]!.answer();
    expect(await second).toEqual(['done 2']);
  });

  test('takes as many as may wait, and refuses the next one without having done anything', async () => {
    const { calls, commit } = heldStore();
    const group = new CommitGroup({ commit, itemsMax: 10, waitingMax: 4, noun: 'jobs' });
    const first = group.add([0]);
    await turn();
    const waiting = [group.add([1, 2]), group.add([3, 4])];
    await expect(group.add([5])).rejects.toMatchObject({ code: 'overloaded' });
    expect(group.waiting).toBe(4);
    calls[0]!.answer();
    await first;
    await turn();
    calls[1]!.answer();
    await Promise.all(waiting);
    expect(calls.flatMap(({ items }) => items)).toEqual([0, 1, 2, 3, 4]);
  });

  test('settled waits for what is under way and for what waits behind it', async () => {
    const { calls, commit } = heldStore();
    const group = new CommitGroup({ commit, itemsMax: 1, waitingMax: 4, noun: 'jobs' });
    const parts = [group.add([1]), group.add([2])];
    let isSettled = false;
    const settled = group.settled().then(() => {
      isSettled = true;
    });
    await turn();
    calls[0]!.answer();
    await turn();
    expect(isSettled).toBe(false);
    calls[1]!.answer();
    await Promise.all([...parts, settled]);
    expect(isSettled).toBe(true);
  });

  test('nothing to add asks nobody', async () => {
    const { calls, commit } = heldStore();
    const group = new CommitGroup({ commit, itemsMax: 1, waitingMax: 4, noun: 'jobs' });
    expect(await group.add([])).toEqual([]);
    expect(calls).toEqual([]);
  });
});
