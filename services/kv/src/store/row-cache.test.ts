import { describe, expect, test } from '@jest/globals';
import { RowArena } from './row-arena.ts';
import { RowCache } from './row-cache.ts';

const bytes = (value: string) => Buffer.from(value, 'latin1');
const text = (value: Uint8Array | null | undefined) => value && Buffer.from(value).toString('latin1');
const MIB = 1_048_576;

function overlay(keys: number, value: string): RowArena {
  const rows = new RowArena({ copies: true });
  for (let i = 0; i < keys; i++) rows.set('index', `${i}`, bytes(value));
  return rows;
}

describe('a row cache', () => {
  test('keeps what was read of the tables that are read by key', () => {
    const cache = new RowCache(MIB);
    cache.add('index', 'a', bytes('1'));
    cache.add('versions', 'a', bytes('2'));
    expect([text(cache.get('index', 'a')), cache.get('versions', 'a'), cache.get('records', 'a')]).toEqual([
      '1',
      undefined,
      undefined,
    ]);
  });

  test.each([10, 10_000])('never shows a row older than a written overlay of %d keys', (keys) => {
    const cache = new RowCache(16 * MIB);
    for (let i = 0; i < keys; i++) cache.add('index', `${i}`, bytes('read'));
    const written = overlay(keys, 'written');
    written.set('index', '3', null);
    cache.written(written);
    expect([text(cache.get('index', '0')), cache.get('index', '3')]).toEqual(['written', null]);
    cache.add('index', '5', bytes('read again'));
    expect(text(cache.get('index', '5'))).toBe('read again');
  });

  test('stays within its bytes, drops the oldest, and keeps what is used', () => {
    const cache = new RowCache(4 * MIB);
    cache.add('index', 'used', bytes('yes'));
    cache.add('index', 'unused', bytes('yes'));
    for (let i = 0; i < 20_000; i++) {
      cache.add('records', `${i}`, Buffer.alloc(1_000));
      expect(text(cache.get('index', 'used'))).toBe('yes');
    }
    expect(cache.heldBytes).toBeLessThanOrEqual(4 * MIB);
    expect([cache.get('index', 'unused'), cache.get('records', '0')]).toEqual([undefined, undefined]);
    expect(cache.get('records', '19999')).toHaveLength(1_000);
  });

  test('of no bytes keeps nothing', () => {
    const cache = new RowCache(0);
    cache.add('index', 'a', bytes('1'));
    cache.written(overlay(10, 'x'));
    cache.written(overlay(10_000, 'x'));
    expect([cache.get('index', 'a'), cache.get('index', '1'), cache.heldBytes]).toEqual([undefined, undefined, 0]);
  });

  test('an overlay that is larger than all of it leaves nothing behind, old or new', () => {
    const cache = new RowCache(MIB / 4);
    cache.add('index', '1', bytes('old'));
    cache.written(overlay(20_000, 'new'));
    expect([cache.get('index', '1'), cache.heldBytes]).toEqual([undefined, 0]);
  });
});
