import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { applyEffects } from './effect-format.ts';
import { RowArena } from './row-arena.ts';
import { type ByteString, STORE_KEY_BYTES_MAX, TABLES, type Table } from './store.ts';

const text = (value: Uint8Array | null | undefined) => value && Buffer.from(value).toString('latin1');
const bytes = (value: string) => Buffer.from(value, 'latin1');

/** What the writer would make of an arena. */
function applied(arena: RowArena): Record<string, Map<ByteString, string>> {
  const made = Object.fromEntries(TABLES.map((table) => [table, new Map<ByteString, string>()]));
  const chunks = arena.copyChunks();
  for (const table of TABLES) {
    const put = (key: ByteString, value: Buffer) => void made[table]!.set(key, value.toString('latin1'));
    const remove = (key: ByteString) => void made[table]!.delete(key);
    for (const chunk of chunks) applyEffects(chunk, table, { put, remove });
  }
  return made;
}

describe('a row arena', () => {
  test('finds the newest of each key, table by table, and tells removed from never there', () => {
    const arena = new RowArena({ copies: false });
    arena.set('index', 'a', bytes('1'));
    arena.set('records', 'a', bytes('2'));
    arena.set('index', 'a', bytes('3'));
    arena.set('index', 'gone', null);
    expect([arena.get('index', 'a'), arena.get('records', 'a')].map(text)).toEqual(['3', '2']);
    expect([arena.get('index', 'gone'), arena.get('index', 'b'), arena.get('meta', 'a')]).toEqual([
      null,
      undefined,
      undefined,
    ]);
    expect([arena.keyCount('index'), arena.keyCount('records'), arena.keys]).toEqual([2, 1, 3]);
  });

  test('takes keys and values of any bytes and every size', () => {
    const arena = new RowArena({ copies: true });
    const keys = ['\0', '\xff'.repeat(47), '\x80'.repeat(48), 'k'.repeat(49), 'ÿ'.repeat(STORE_KEY_BYTES_MAX)];
    const sizes = [0, 1, 3, 4, 1_048_576, 3_000_000];
    for (const [i, key] of keys.entries()) {
      for (const size of sizes)
        arena.set('records', `${key.slice(1)}${size}`.slice(-STORE_KEY_BYTES_MAX), Buffer.alloc(size, i));
    }
    for (const [i, key] of keys.entries()) {
      for (const size of sizes) {
        const found = arena.get('records', `${key.slice(1)}${size}`.slice(-STORE_KEY_BYTES_MAX))!;
        expect([found.length, found.every((byte) => byte === i)]).toEqual([size, true]);
      }
    }
    expect(applied(arena).records!.size).toBe(arena.keys);
  });

  test.each(['', 'x'.repeat(STORE_KEY_BYTES_MAX + 1)])('refuses a key that no page could hold', (key) => {
    expect(() => new RowArena({ copies: false }).set('index', key, null)).toThrow(RangeError);
  });

  test('a value that was read stays as it was when the arena grows and the key changes', () => {
    const arena = new RowArena({ copies: false });
    arena.set('index', 'a', bytes('first'));
    const read = arena.get('index', 'a');
    for (let i = 0; i < 5_000; i++) arena.set('index', `${i}`, Buffer.alloc(500));
    arena.set('index', 'a', bytes('other'));
    expect([text(read), text(arena.get('index', 'a'))]).toEqual(['first', 'other']);
  });

  test('does what a map does, goes back to its mark, and its copies hold all of it in order', () => {
    const random = seededRandom();
    const arena = new RowArena({ copies: true });
    const model = new Map<string, string | null>();
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
    const change = () => {
      const table = pick(TABLES);
      const key = `${Math.floor(random() * 700)}`.padStart(1 + Math.floor(random() * 60), 'k');
      const value = random() < 0.2 ? null : 'v'.repeat(Math.floor(random() ** 8 * 40_000));
      arena.set(table, key, value === null ? null : bytes(value));
      return { place: `${table}/${key}`, value };
    };
    for (let round = 0; round < 200; round++) {
      arena.mark();
      const changes = Array.from({ length: Math.floor(random() * 60) }, change);
      if (random() < 0.3) arena.rewind();
      else for (const { place, value } of changes) model.set(place, value);
    }
    const held = new Map<string, string | null>();
    for (const table of TABLES) {
      for (const { key, value } of arena.rows(table)) held.set(`${table}/${key}`, text(value) ?? null);
    }
    expect(held.size).toBe(model.size);
    for (const [place, value] of model) {
      const [table, key] = place.split('/') as [Table, string];
      expect([place, text(arena.get(table, key))]).toEqual([place, value]);
      expect(held.get(place)).toBe(value);
    }
    const made = applied(arena);
    for (const [place, value] of model) {
      const [table, key] = place.split('/') as [Table, string];
      expect(made[table]!.get(key)).toBe(value ?? undefined);
    }
  });

  test('a step that is undone behind the end of a chunk leaves no copy of that chunk as it was', () => {
    const arena = new RowArena({ copies: true });
    arena.set('index', 'kept', bytes('1'));
    arena.mark();
    for (const key of ['x', 'y', 'z']) arena.set('records', key, Buffer.alloc(700_000));
    arena.rewind();
    arena.set('index', 'later', bytes('2'));
    const made = applied(arena);
    expect([[...made.index!], made.records!.size]).toEqual([
      [
        ['kept', '1'],
        ['later', '2'],
      ],
      0,
    ]);
  });

  test('keys since a position are those that came in behind it, each once', () => {
    const arena = new RowArena({ copies: false });
    for (const key of ['b', 'a', 'b']) arena.set('index', key, bytes(key));
    const seen = arena.newest('index');
    for (const key of ['a', 'd', 'c', 'd']) arena.set('index', key, null);
    arena.set('meta', 'm', bytes('m'));
    expect([...arena.keysSince('index', seen)].sort()).toEqual(['c', 'd']);
    expect([...arena.keysSince('index', -1)].sort()).toEqual(['a', 'b', 'c', 'd']);
  });
});
