import { describe, expect, test } from '@jest/globals';
import { type SeededRandom, seededRandom } from '@plinth/testkit';
import { merged, NOTHING_YET, SpaceSaving, type Summary, TopKeys } from './top-keys.ts';

/** Few keys come often, many seldom: rank r is 1/r as likely as the first. */
function zipfKeys(random: SeededRandom, keys: number, count: number): string[] {
  const weights = Array.from({ length: keys }, (_, rank) => 1 / (rank + 1));
  const sum = weights.reduce((a, b) => a + b, 0);
  return Array.from({ length: count }, () => {
    let point = random() * sum;
    let rank = 0;
    for (; rank < keys - 1 && point > weights[rank]!; rank++) point -= weights[rank]!;
    return `key-${rank}`;
  });
}

function truthOf(keys: readonly string[]): Map<string, number> {
  const truth = new Map<string, number>();
  for (const key of keys) truth.set(key, (truth.get(key) ?? 0) + 1);
  return truth;
}

/** Whatever a summary says must leave room for the truth. */
function expectTrue(summary: Summary, truth: ReadonlyMap<string, number>): void {
  const listed = new Set(summary.keys.map(({ key }) => key));
  for (const { key, count, error } of summary.keys) {
    expect(truth.get(key) ?? 0).toBeLessThanOrEqual(count);
    expect(truth.get(key) ?? 0).toBeGreaterThanOrEqual(count - error);
  }
  for (const [key, count] of truth) if (!listed.has(key)) expect(count).toBeLessThanOrEqual(summary.unlistedMax);
  const counts = summary.keys.map(({ count }) => count);
  expect(counts).toEqual(counts.toSorted((a, b) => b - a));
}

describe('a sketch', () => {
  test('counts exactly while there are no more keys than it watches', () => {
    const sketch = new SpaceSaving(3);
    for (const key of 'aababcaa') sketch.count(key);
    expect(sketch.summary()).toEqual({
      keys: [
        { key: 'a', count: 5, error: 0 },
        { key: 'b', count: 2, error: 0 },
        { key: 'c', count: 1, error: 0 },
      ],
      unlistedMax: 1,
      total: 8,
    });
  });

  test('one key more takes the place of the rarest, and its count is its error and one', () => {
    const sketch = new SpaceSaving(2);
    for (const key of 'aaabb') sketch.count(key);
    sketch.count('c');
    expect(sketch.summary().keys).toEqual([
      { key: 'a', count: 3, error: 0 },
      { key: 'c', count: 3, error: 2 },
    ]);
  });

  test.each([1, 2, 10, 100])('of %d keys is never wrong by more than it says, whatever comes', (capacity) => {
    const random = seededRandom();
    const keys = zipfKeys(random, 300, 20_000);
    const sketch = new SpaceSaving(capacity);
    for (const key of keys) sketch.count(key);
    const summary = sketch.summary();
    expect(summary.total).toBe(20_000);
    expectTrue(summary, truthOf(keys));
    for (const { error } of summary.keys) expect(error).toBeLessThanOrEqual(20_000 / capacity);
  });

  test('whoever comes more often than one in as many as are watched is listed', () => {
    const random = seededRandom();
    const sketch = new SpaceSaving(50);
    // One in forty, hidden among keys that never come again.
    const keys = random.shuffle(Array.from({ length: 40_000 }, (_, at) => (at % 40 === 0 ? 'often' : `once-${at}`)));
    for (const key of keys) sketch.count(key);
    expect(sketch.summary().keys.some(({ key }) => key === 'often')).toBe(true);
  });

  test('that is cleared is as new', () => {
    const sketch = new SpaceSaving(2);
    for (const key of 'abcabc') sketch.count(key);
    sketch.clear();
    expect(sketch.summary()).toEqual(NOTHING_YET);
    sketch.count('d');
    expect(sketch.summary().keys).toEqual([{ key: 'd', count: 1, error: 0 }]);
  });
});

test('two summaries as one leave room for the truth of both', () => {
  const random = seededRandom();
  for (let round = 0; round < 50; round++) {
    const [one, two] = [new SpaceSaving(8), new SpaceSaving(8)];
    const keys = [zipfKeys(random, 30, random.int(400)), zipfKeys(random, 30, random.int(400))] as const;
    for (const key of keys[0]) one.count(key);
    for (const key of keys[1]) two.count(key);
    const both = merged(one.summary(), two.summary(), 8);
    expect(both.keys.length).toBeLessThanOrEqual(8);
    expect(both.total).toBe(keys[0].length + keys[1].length);
    expectTrue(both, truthOf(keys.flat()));
  }
});

describe('top keys', () => {
  test('forget after one to two minutes, but for what is counted since the start', () => {
    const top = new TopKeys(0);
    top.count('old');
    top.tick(59_999);
    top.count('old');
    top.tick(60_000);
    top.count('new');
    expect(top.recent()).toMatchObject({ sinceMs: 0, total: 3, keys: [{ key: 'old', count: 2 }, { key: 'new' }] });
    top.tick(120_000);
    expect(top.recent()).toMatchObject({ sinceMs: 60_000, total: 1, keys: [{ key: 'new', count: 1, error: 0 }] });
    top.tick(180_000);
    expect(top.recent()).toMatchObject({ total: 0, keys: [] });
    expect(top.all()).toMatchObject({
      sinceMs: 0,
      total: 3,
      keys: [
        { key: 'old', count: 2 },
        { key: 'new', count: 1 },
      ],
    });
  });

  test('since the start stay true over many windows', () => {
    const random = seededRandom();
    const top = new TopKeys(0, 20);
    const keys = zipfKeys(random, 200, 10_000);
    for (const [at, key] of keys.entries()) {
      top.count(key);
      if (at % 500 === 499) top.tick((at + 1) * 120);
    }
    expectTrue(top.all(), truthOf(keys));
    expect(top.all().total).toBe(10_000);
  });
});
