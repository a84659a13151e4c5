/**
 * The battery every backend of `store.ts` passes. A backend that reopens is also asked what it remembers.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type ByteString, type Entry, type Range, STORE_KEY_BYTES_MAX, type Store, type Table } from './store.ts';

/** One opened store for one test. */
export interface StoreUnderTest {
  store: Store;
  /** Closes the store without a checkpoint, as a crash would, and opens what is on disk. Absent: nothing is kept. */
  reopen?(): Promise<Store>;
  /** Closes whatever is open and removes what was written. */
  dispose(): Promise<void>;
}

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const textOf = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString('latin1');
const pairsOf = (entries: Iterable<Entry>): [string, string][] =>
  [...entries].map(({ key, value }) => [key, textOf(value)!]);
export const keysOf = (entries: Iterable<Entry>): string[] => [...entries].map(({ key }) => key);

/** Puts each key with a value of its own, in one step at `position`. */
export function putKeys(store: Store, position: number, keys: readonly ByteString[], table: Table = 'records'): void {
  store.step(position, () => {
    for (const key of keys) store.put(table, key, bytes(`value of ${key}`));
  });
}

/** Keys in byte order; as UTF-16, UTF-8 or with a NUL terminator, some of them would sort otherwise or clash. */
const HARD_KEYS = [
  '\0',
  '\0\0',
  '\0\xff',
  'a',
  'a\0',
  'a\0b',
  'a\x01',
  'ab',
  'a\xff',
  'b',
  '\x7f',
  '\x80',
  '\xff',
  '\xff\0',
  '\xff\xff',
];

export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps the store's contract`, () => {
    let subject: StoreUnderTest;
    let store: Store;
    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });
    afterEach(() => subject.dispose());

    test('a new store is empty and stands at position 0', () => {
      expect(store.get('meta', 'a')).toBeUndefined();
      expect(keysOf(store.range('meta', {}))).toEqual([]);
      expect([store.position, store.durablePosition, store.pendingBytes]).toEqual([0, 0, 0]);
    });

    test('a key that was put is found, in its own table only, until it is removed', () => {
      store.step(1, () => store.put('meta', 'a', bytes('1')));
      expect(textOf(store.get('meta', 'a'))).toBe('1');
      expect(store.get('records', 'a')).toBeUndefined();
      store.step(2, () => store.put('meta', 'a', bytes('2')));
      expect(textOf(store.get('meta', 'a'))).toBe('2');
      store.step(3, () => store.remove('meta', 'a'));
      expect(store.get('meta', 'a')).toBeUndefined();
      store.step(4, () => store.remove('meta', 'a'));
      expect(store.get('meta', 'a')).toBeUndefined();
    });

    test('a step sees its own changes', () => {
      store.step(1, () => {
        store.put('meta', 'a', bytes('1'));
        expect(textOf(store.get('meta', 'a'))).toBe('1');
        store.remove('meta', 'a');
        expect(store.get('meta', 'a')).toBeUndefined();
        store.put('meta', 'b', bytes('2'));
        expect(pairsOf(store.range('meta', {}))).toEqual([['b', '2']]);
      });
    });

    test('two values that were read stay what they were', () => {
      putKeys(store, 1, ['a', 'b']);
      const [first, second] = [store.get('records', 'a'), store.get('records', 'b')];
      expect([textOf(first), textOf(second)]).toEqual(['value of a', 'value of b']);
    });

    test('a step returns what its change returns', () => {
      expect(store.step(1, () => 'done')).toBe('done');
    });

    test('changes outside a step are refused', () => {
      expect(() => store.put('meta', 'a', bytes('1'))).toThrow(/inside step/);
      expect(() => store.remove('meta', 'a')).toThrow(/inside step/);
    });

    test('keys of 1 and of the most bytes are taken; 0 and one more are refused and change nothing', () => {
      const longest = '\xff'.repeat(STORE_KEY_BYTES_MAX);
      putKeys(store, 1, ['\0', longest]);
      expect(keysOf(store.range('records', {}))).toEqual(['\0', longest]);
      for (const key of ['', `${longest}\xff`]) {
        expect(() => putKeys(store, 2, ['a', key])).toThrow(RangeError);
      }
      expect(keysOf(store.range('records', {}))).toEqual(['\0', longest]);
      expect(store.get('records', '')).toBeUndefined();
    });

    test('values of 0 bytes and of 1 MiB come back whole', async () => {
      const big = Buffer.alloc(1024 * 1024, 7);
      store.step(1, () => {
        store.put('versions', 'big', big);
        store.put('versions', 'empty', bytes(''));
      });
      await store.checkpoint();
      expect(store.get('versions', 'empty')).toHaveLength(0);
      expect(Buffer.compare(store.get('versions', 'big')!, big)).toBe(0);
      expect([...store.range('versions', {})].map(({ value }) => value.length)).toEqual([big.length, 0]);
    });

    describe.each(['in memory', 'checkpointed', 'half and half'] as const)('ranges, %s', (state) => {
      beforeEach(async () => {
        const isOdd = (_: string, index: number) => index % 2 === 1;
        const shuffled = [...HARD_KEYS].reverse();
        putKeys(store, 1, state === 'half and half' ? shuffled.filter(isOdd) : shuffled);
        if (state !== 'in memory') await store.checkpoint();
        if (state === 'half and half') putKeys(store, 2, shuffled);
      });

      test('are in byte order in both directions, each key once', () => {
        expect(pairsOf(store.range('records', {}))).toEqual(HARD_KEYS.map((key) => [key, `value of ${key}`]));
        expect(keysOf(store.range('records', { reverse: true }))).toEqual([...HARD_KEYS].reverse());
      });

      test('take start in and leave end out, on a key, between keys and beyond them', () => {
        const bounds = [undefined, '', '\0\x01', 'A', 'aa', 'c', '\xff\xff\xff', ...HARD_KEYS];
        for (const start of bounds) {
          for (const end of bounds) expectRange(HARD_KEYS, { start, end });
        }
      });

      test('skip what is removed', () => {
        store.step(3, () => {
          for (const key of ['\0', 'a\0b', 'b', '\xff\xff', 'never there']) store.remove('records', key);
        });
        const left = HARD_KEYS.filter((key) => !['\0', 'a\0b', 'b', '\xff\xff'].includes(key));
        for (const start of [undefined, 'a\0b', 'b']) expectRange(left, { start });
      });

      test('may be left early and asked again', () => {
        for (const reverse of [false, true]) {
          for (const entry of store.range('records', { reverse })) {
            expect(entry.key).toBe(HARD_KEYS.at(reverse ? -1 : 0));
            break;
          }
        }
        putKeys(store, 4, ['after']);
        expect(keysOf(store.range('records', { start: 'ab', end: 'b' }))).toEqual(['ab', 'after', 'a\xff']);
      });
    });

    function expectRange(keys: readonly string[], bounds: Range): void {
      const within = keys.filter(
        (key) => key >= (bounds.start ?? '') && (bounds.end === undefined || key < bounds.end),
      );
      expect([bounds, keysOf(store.range('records', bounds))]).toEqual([bounds, within]);
      const backwards = keysOf(store.range('records', { ...bounds, reverse: true }));
      expect([bounds, backwards]).toEqual([bounds, [...within].reverse()]);
    }

    test('a step that throws leaves everything as it was', async () => {
      putKeys(store, 1, ['kept', 'replaced', 'removed']);
      await store.checkpoint();
      putKeys(store, 2, ['young', 'young and removed']);
      const before = pairsOf(store.range('records', {}));
      const pending = store.pendingBytes;
      const boom = new Error('boom');
      const change = () => {
        for (const key of ['replaced', 'young', 'replaced']) store.put('records', key, bytes('wrong'));
        for (const key of ['removed', 'young and removed', 'absent']) store.remove('records', key);
        store.put('records', 'new', Buffer.alloc(3 * 1024 * 1024));
        store.remove('records', 'new');
        throw boom;
      };
      expect(() => store.step(3, change)).toThrow(boom);
      expect(pairsOf(store.range('records', {}))).toEqual(before);
      expect([store.position, store.pendingBytes]).toEqual([2, pending]);
      store.step(3, () => store.put('records', 'z', bytes('fine')));
      await store.checkpoint();
      expect(pairsOf(store.range('records', {}))).toEqual([...before, ['z', 'fine']]);
    });

    test('steps do not nest, and the outer one is undone too', () => {
      expect(() => store.step(1, () => putKeys(store, 2, ['a']))).toThrow(/already running/);
      expect([store.get('records', 'a'), store.position]).toEqual([undefined, 0]);
    });

    test('the position is that of the last step, also of one without changes, and never goes back', () => {
      store.step(10, () => {});
      expect(store.position).toBe(10);
      expect(() => store.step(9, () => {})).toThrow(RangeError);
      expect(store.position).toBe(10);
    });

    test('a checkpoint resolves with the position reached and leaves nothing pending', async () => {
      putKeys(store, 7, ['a']);
      expect(await store.checkpoint()).toBe(7);
      expect([store.durablePosition, store.pendingBytes]).toEqual([7, 0]);
      expect(await store.checkpoint()).toBe(7);
      store.step(8, () => {});
      expect(await store.checkpoint()).toBe(8);
    });

    test('steps during a checkpoint are visible at once, before and after it ends', async () => {
      putKeys(store, 1, ['old', 'replaced', 'removed']);
      await store.checkpoint();
      putKeys(store, 2, ['frozen', 'frozen and removed']);
      const running = store.checkpoint();
      store.step(3, () => {
        store.put('records', 'replaced', bytes('anew'));
        store.put('records', 'young', bytes('y'));
        for (const key of ['removed', 'frozen and removed']) store.remove('records', key);
      });
      const expected = ['frozen', 'old', 'replaced', 'young'];
      expect(keysOf(store.range('records', {}))).toEqual(expected);
      expect(keysOf(store.range('records', { reverse: true }))).toEqual([...expected].reverse());
      await running;
      expect(keysOf(store.range('records', {}))).toEqual(expected);
      expect(textOf(store.get('records', 'replaced'))).toBe('anew');
      expect([store.get('records', 'removed'), store.get('records', 'frozen and removed')]).toEqual([
        undefined,
        undefined,
      ]);
      await store.checkpoint();
      expect(keysOf(store.range('records', {}))).toEqual(expected);
    });

    test('checkpoints asked for during one share the next, which covers what they saw', async () => {
      putKeys(store, 1, ['a']);
      const first = store.checkpoint();
      putKeys(store, 2, ['b']);
      const [second, third] = [store.checkpoint(), store.checkpoint()];
      expect(await first).toBeGreaterThanOrEqual(1);
      expect(await Promise.all([second, third])).toEqual([2, 2]);
      expect(store.durablePosition).toBe(2);
    });

    test('a checkpoint asked for at the moment another ends and a third begins still covers its steps', async () => {
      putKeys(store, 1, ['a']);
      const first = store.checkpoint();
      const following = store.checkpoint();
      const third = first.then(async () => {
        putKeys(store, 2, ['b']);
        const asked = store.checkpoint();
        await new Promise(setImmediate);
        expect(keysOf(store.range('records', {}))).toEqual(['a', 'b']);
        await following;
        return asked;
      });
      expect(await Promise.all([first, third])).toEqual([1, 2]);
      expect([store.durablePosition, store.pendingBytes]).toEqual([2, 0]);
    });

    test('what a checkpoint covered is there after reopening, and the rest is not', async () => {
      if (subject.reopen === undefined) return;
      putKeys(store, 1, ['a', 'b']);
      await store.checkpoint();
      store.step(2, () => store.remove('records', 'a'));
      await store.checkpoint();
      putKeys(store, 3, ['c']);
      store = await subject.reopen();
      expect(pairsOf(store.range('records', {}))).toEqual([['b', 'value of b']]);
      expect([store.position, store.durablePosition, store.pendingBytes]).toEqual([2, 2, 0]);
    });

    test('a thousand random steps leave what a plain map would hold', async () => {
      const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
      console.info(`${name}: SEED=${seed}`);
      await new RandomWalk(subject, seed).run(1_000);
    });
  });
}

/** Random steps, ranges, checkpoints and reopenings beside a plain map; compares after each. */
class RandomWalk {
  readonly #subject: StoreUnderTest;
  readonly #random: () => number;
  #store: Store;
  #state = new Map<string, string>();
  /** The state at each position that a reopening may bring back. */
  #history = new Map([[0, this.#state]]);
  #running: Promise<unknown>[] = [];

  constructor(subject: StoreUnderTest, seed: number) {
    this.#subject = subject;
    this.#store = subject.store;
    this.#random = randomFrom(seed);
  }

  async run(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      await this.#act(this.#below(100));
      this.#compare();
    }
    await Promise.all(this.#running);
    this.#compare();
  }

  async #act(dice: number): Promise<void> {
    if (dice < 80) this.#step(dice < 10);
    else if (dice < 88) this.#running.push(this.#store.checkpoint());
    else if (dice < 94) await this.#pause();
    else if (dice < 96) await this.#reopen();
  }

  #step(fails: boolean): void {
    const next = new Map(this.#state);
    const position = this.#store.position + 1 + this.#below(5);
    const change = () => {
      for (let n = this.#below(6); n > 0; n--) this.#change(next, position);
      if (fails) throw new Error('undone');
    };
    if (fails) return void expect(() => this.#store.step(position, change)).toThrow('undone');
    this.#store.step(position, change);
    this.#state = next;
    this.#history.set(position, next);
  }

  #change(next: Map<string, string>, position: number): void {
    const key = this.#key();
    if (this.#below(3) === 0) {
      next.delete(key);
      this.#store.remove('index', key);
    } else {
      const value = 'v'.repeat(this.#below(40)) + position;
      next.set(key, value);
      this.#store.put('index', key, bytes(value));
    }
  }

  async #pause(): Promise<void> {
    if (this.#below(2) === 0) await Promise.all(this.#running.splice(0));
    else await new Promise((resolve) => setTimeout(resolve, this.#below(4)));
  }

  async #reopen(): Promise<void> {
    if (this.#subject.reopen === undefined) return;
    await Promise.all(this.#running.splice(0));
    const durable = this.#store.durablePosition;
    this.#store = await this.#subject.reopen();
    expect(this.#store.position).toBe(durable);
    this.#state = this.#history.get(durable)!;
    this.#history = new Map([[durable, this.#state]]);
  }

  #compare(): void {
    const all = [...this.#state].sort(([a], [b]) => (a < b ? -1 : 1));
    const [start, end] = [this.#bound(), this.#bound()];
    const within = all.filter(([key]) => key >= (start ?? '') && (end === undefined || key < end));
    expect(pairsOf(this.#store.range('index', { start, end }))).toEqual(within);
    expect(pairsOf(this.#store.range('index', { start, end, reverse: true }))).toEqual(within.reverse());
    const key = this.#key();
    expect(textOf(this.#store.get('index', key))).toBe(this.#state.get(key));
  }

  #bound(): string | undefined {
    return this.#below(3) === 0 ? undefined : this.#key();
  }

  /** One of a few hundred keys, many of them prefixes of each other. */
  #key(): string {
    const letter = () => String.fromCharCode([0, 1, 97, 128, 255][this.#below(5)]!);
    return Array.from({ length: 1 + this.#below(4) }, letter).join('');
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }
}

/** Mulberry32: small, and good enough to wander. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
