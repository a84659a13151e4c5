import { describe, expect, it } from '@jest/globals';
import { type SeededRandom, seededRandom, tempDir } from '@plinth/testkit';
import { openLmdbStore } from '../store/lmdb-store.ts';
import { openMemoryStore } from '../store/memory-store.ts';
import type { Store } from '../store/store.ts';
import type { Operation } from './command.ts';
import { bytes, codeOf, TestMachine, textOf } from './machine.fixture.ts';
import { MvccModel } from './mvcc-model.fixture.ts';
import {
  changesSince,
  countLive,
  history,
  type KeyRange,
  type Listed,
  readRecord,
  scan,
  type View,
  versionAt,
  viewAtRevision,
  viewAtTime,
} from './reader.ts';

const KEYS = ['a', 'a\x01', 'a/1', 'a/2', 'a0', 'b', 'b\xff', 'c', '\x01', '\xff'];

/** A machine and its model, driven by the same commands. */
class Pair {
  readonly test: TestMachine;
  readonly model = new MvccModel();
  readonly historyCount: number;
  readonly #random: SeededRandom;
  readonly #times: number[] = [];

  constructor(random: SeededRandom, store: Store) {
    this.#random = random;
    this.historyCount = random.pick([1, 3]);
    this.test = new TestMachine({ historyCount: this.historyCount }, store);
    // Another bucket takes revisions in between.
    this.test.define('other');
    this.model.record(this.test.timeMs);
  }

  get compacted(): number {
    return this.test.state.compactedRevision;
  }

  get now(): View {
    return { revision: this.test.machine.revision, timeMs: this.test.machine.timeMs };
  }

  step(): void {
    const { int } = this.#random;
    this.test.timeMs += int(6) === 0 ? -int(500) : int(300);
    this.model.record(this.test.timeMs);
    const roll = int(20);
    if (roll < 9) this.#put();
    else if (roll < 12) this.#delete();
    else if (roll < 13) this.#deleteRange();
    else if (roll < 16) this.#putMany();
    else if (roll < 18) this.#writeElsewhere();
    else if (roll < 19) this.#compact();
    else this.test.record({ do: 'tick' });
    expect(this.test.machine.revision).toBe(this.model.revision);
    this.#times.push(this.model.timeMs);
  }

  #put(): void {
    const { int, pick } = this.#random;
    const [key, value] = [pick(KEYS), `v${int(1_000)}`];
    const life = int(3) === 0 ? { ttlMs: 100 + int(1_000) } : undefined;
    this.test.put(key, value, { life });
    this.model.put(key, value, life === undefined ? 0 : this.model.timeMs + life.ttlMs);
  }

  #delete(): void {
    const key = this.#random.pick(KEYS);
    this.test.delete(key);
    this.model.delete([key]);
  }

  #deleteRange(): void {
    const { start, end } = this.range();
    this.test.run({ op: 'deleteRange', start, end });
    this.model.delete(KEYS.filter((key) => key >= start && (end === undefined || key < end)));
  }

  #putMany(): void {
    const { int, shuffle } = this.#random;
    const keys = shuffle(KEYS).slice(0, 1 + int(4));
    this.test.transact(keys.map((key): Operation => ({ op: 'put', key, value: bytes(`t${key}`) })));
    this.model.revision += 1;
    for (const key of keys) this.model.put(key, `t${key}`, 0, this.model.revision);
  }

  #writeElsewhere(): void {
    this.test.record({ do: 'operation', bucket: 2, operation: { op: 'put', key: 'x', value: bytes('v') } });
    this.model.revision += 1;
  }

  #compact(): void {
    const { int } = this.#random;
    const revision = Math.max(0, this.model.revision - int(60));
    this.test.record({ do: 'compact', bucket: this.test.bucket, revision, limit: 1 + int(40) });
  }

  range(): KeyRange {
    const { int, pick } = this.#random;
    const end = int(3) === 0 ? undefined : pick(KEYS);
    return { start: int(3) === 0 ? '' : pick(KEYS), end, reverse: int(2) === 0 };
  }

  // ---------------------------------------------------------------- what is compared

  check(): void {
    const { int } = this.#random;
    this.#checkPoint(int(this.model.revision + 1));
    this.#checkScan(this.now);
    this.#checkChanges(int(this.model.revision + 1));
    this.#checkPast(int(this.model.revision + 1));
    this.#checkMoment(this.#times[int(this.#times.length)]! + int(20));
    for (const key of KEYS) this.#checkHistory(key);
    expect(countLive(this.test.store, this.test.state, this.now.timeMs)).toBe(
      KEYS.filter((key) => this.model.live(key, this.now)).length,
    );
  }

  /** Any version that is found is the right one; 410 only before the compacted revision. */
  #checkPoint(revision: number): void {
    for (const key of KEYS) {
      const wanted = this.model.at(key, revision);
      const refused = codeOf(() => versionAt(this.test.store, this.test.state, key, revision));
      if (refused !== undefined) {
        expect([refused, revision < this.compacted]).toEqual(['revision_compacted', true]);
        continue;
      }
      const found = versionAt(this.test.store, this.test.state, key, revision);
      if (found === undefined) expect(wanted?.type ?? 'delete').not.toBe('put');
      else expect(found).toMatchObject({ revision: wanted!.revision, deleted: wanted!.type !== 'put' });
    }
  }

  #checkPast(revision: number): void {
    const view = viewAtRevision(this.test.store, this.test.state, revision);
    if (revision >= this.compacted) this.#checkScan(view);
    else {
      const read = () =>
        scan(this.test.store, this.test.state, view, { start: '', end: undefined, reverse: false }, LIMITS);
      expect(codeOf(read)).toBe('revision_compacted');
    }
  }

  #checkMoment(timeMs: number): void {
    const isForgotten = timeMs < this.test.state.compactedTimeMs && timeMs < this.now.timeMs;
    const find = () => viewAtTime(this.test.store, this.test.state, timeMs, this.now);
    expect(codeOf(find)).toBe(isForgotten ? 'revision_compacted' : undefined);
    if (isForgotten) return;
    const view = find();
    const last = Math.max(0, ...[...this.model.keys.values()].flat().map((v) => (v.timeMs <= timeMs ? v.revision : 0)));
    expect(view.revision).toBeGreaterThanOrEqual(last);
    this.#checkScan(view, { revision: Math.max(last, this.compacted), timeMs: view.timeMs });
  }

  #checkScan(view: View, wantedView = view): void {
    const range = this.range();
    const { start, end, reverse } = range;
    const inRange = this.model.sortedKeys().filter((key) => key >= start && (end === undefined || key < end));
    const live = inRange.flatMap((key) => {
      const version = this.model.live(key, wantedView);
      return version === undefined ? [] : [`${key} ${version.revision} ${version.version} ${version.value}`];
    });
    expect(this.#scanAll(view, range)).toEqual(reverse ? live.reverse() : live);
  }

  /** In pieces of random size. */
  #scanAll(view: View, range: KeyRange): string[] {
    const { int } = this.#random;
    const { store, state } = this.test;
    const line = ({ key, version }: Listed) =>
      `${key} ${version.revision} ${version.version} ${textOf(readRecord(store, state.id, version).value)}`;
    const lines: string[] = [];
    for (let next: KeyRange | undefined = range; next !== undefined; ) {
      const piece = scan(store, state, view, next, { entries: 1 + int(4), rows: 1 + int(8) });
      lines.push(...piece.found.map(line));
      next = piece.next;
    }
    return lines;
  }

  #checkChanges(since: number): void {
    const { store, state } = this.test;
    const limits = { limit: 1 + this.#random.int(5), bytesMax: 1 + this.#random.int(400) };
    if (since < this.compacted) {
      expect(codeOf(() => changesSince(store, state, since, limits))).toBe('revision_compacted');
      return;
    }
    const lines: string[] = [];
    let [next, more] = [since, true];
    while (more) {
      const page = changesSince(store, state, next, limits);
      const revisions = page.rows.map(({ revision }) => revision);
      expect(page.rows.map((row) => row.more)).toEqual(revisions.map((at, i) => at === revisions[i + 1]));
      lines.push(
        ...page.rows
          .map(({ revision, record }) => `${revision} ${record.type} ${record.key} ${textOf(record.value)}`)
          .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1)),
      );
      ({ next, more } = page);
    }
    expect(lines).toEqual(this.model.changesAfter(since));
  }

  #checkHistory(key: string): void {
    const { store, state } = this.test;
    const limit = 1 + this.#random.int(6);
    const found = history(store, state.id, key, limit).map(({ version, record }) => ({
      ...{ revision: version.revision, type: record.type, value: textOf(record.value), version: version.version },
      ...{ createRevision: version.createRevision, expiresAtMs: version.expiresAtMs, timeMs: record.timeMs },
    }));
    // What compaction has visited so far, which is all up to the compacted revision.
    expect(found).toEqual(this.model.kept(key, this.compacted, this.historyCount).slice(0, limit));
  }
}

const LIMITS = { entries: 100, rows: 100 };

function drive(random: SeededRandom, store: Store, steps: number): void {
  const pair = new Pair(random, store);
  for (let step = 0; step < steps; step++) {
    pair.step();
    pair.check();
  }
}

describe('reads of present and past', () => {
  it.each([1, 2, 3])('agree with an array of versions for each key, in memory (%i)', () => {
    drive(seededRandom(), openMemoryStore(), 500);
  });

  it('agree with it on disk', async () => {
    const store = await openLmdbStore(tempDir('mvcc'));
    const random = seededRandom();
    const pair = new Pair(random, store);
    for (let step = 0; step < 200; step++) {
      if (random.int(10) === 0) await store.checkpoint();
      pair.step();
      pair.check();
    }
    await store.close();
  });
});
