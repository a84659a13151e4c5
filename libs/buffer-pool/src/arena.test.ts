import { describe, expect, test } from '@jest/globals';
import { Arena, PoolExhausted, UseAfterRelease } from './buffer-pool.ts';

describe('an arena', () => {
  test('pieces follow each other, aligned, and share no byte', () => {
    const arena = new Arena({ bytes: 1024 });
    expect([arena.take(3), arena.take(8), arena.take(1, 64), arena.take(0), arena.take(5)]).toEqual([0, 8, 64, 72, 72]);
    expect(arena.stats()).toMatchObject({ inUse: 77, highWater: 77, acquired: 5, failed: 0, bytes: 1024 });
  });

  test('the last byte can be taken, one more is refused and takes nothing', () => {
    const arena = new Arena({ bytes: 64 });
    arena.take(56);
    expect(() => arena.take(9)).toThrow(PoolExhausted);
    expect(() => arena.take(9)).toThrow('the arena has no room for 9 bytes more: 1 of 1 blocks of 64 bytes are held');
    expect(arena.take(8)).toBe(56);
    expect(() => arena.take(1)).toThrow(PoolExhausted);
    expect(arena.stats()).toMatchObject({ inUse: 64, failed: 3 });
  });

  test('a reset gives all back, keeps the memory, and makes older pieces void', () => {
    const arena = new Arena({ bytes: 64 });
    const piece = arena.take(8);
    const { generation } = arena;
    arena.view(piece, 8).write('abc');
    arena.take(40);
    arena.reset();
    expect(arena.generation).toBe(generation + 1);
    expect(() => arena.view(piece, 8, generation)).toThrow(UseAfterRelease);
    expect(() => arena.view(piece, 8)).toThrow('8 bytes at 0 were not taken');
    expect(arena.buffer(3).toString()).toBe('abc');
    expect(arena.stats()).toMatchObject({ inUse: 3, highWater: 48, bytes: 64 });
  });

  test('debug: a reset overwrites what was taken', () => {
    const arena = new Arena({ bytes: 64, debug: true });
    const bytes = arena.buffer(8).fill(1);
    arena.reset();
    expect([...bytes]).toEqual(Array(8).fill(0xdb));
  });

  test('it grows chunk by chunk up to bytesMax; no piece lies in two', () => {
    const arena = new Arena({ bytes: 100, bytesMax: 250, alignment: 1 });
    const pieces = [60, 60, 40, 0].map((bytes) => arena.buffer(bytes).fill(bytes));
    expect(pieces.map((piece) => piece.every((byte) => byte === piece.length))).toEqual([true, true, true, true]);
    expect(arena.stats()).toMatchObject({ bytes: 200, inUse: 200 });
    expect(() => arena.take(1)).toThrow(PoolExhausted);
    arena.reset();
    expect(arena.trim()).toBe(200);
    expect(arena.stats()).toMatchObject({ bytes: 0, inUse: 0, highWater: 200 });
    expect(arena.take(100)).toBe(0);
    arena.take(1);
    arena.reset();
    arena.take(1);
    expect(arena.trim()).toBe(100);
  });

  test.each([4096, 64, 1])('its own alignment of %i holds in every chunk', (alignment) => {
    const arena = new Arena({ bytes: 10_000, bytesMax: 40_000, alignment });
    const starts = Array.from({ length: 8 }, () => arena.buffer(2500).byteOffset % alignment);
    expect(starts).toEqual(Array(8).fill(0));
  });

  test.each([
    [() => new Arena({ bytes: 0 }), 'bytes is 0'],
    [() => new Arena({ bytes: 100, bytesMax: 99 }), 'bytesMax is 99; it must be an integer from 100'],
    [() => new Arena({ bytes: 100, alignment: 3 }), 'alignment is 3; it must be a power of two'],
    [() => new Arena({ bytes: 100 }).take(101), 'bytes is 101; it must be an integer from 0 to 100'],
    [() => new Arena({ bytes: 100 }).take(-1), 'bytes is -1'],
    [() => new Arena({ bytes: 100 }).take(1.5), 'bytes is 1.5'],
    [() => new Arena({ bytes: 100 }).take(1, 12), 'alignment is 12'],
    [() => new Arena({ bytes: 100 }).view(0, 1), '1 bytes at 0 were not taken'],
    [() => new Arena({ bytes: 100 }).view(-1, 1), '1 bytes at -1 were not taken'],
    [() => new Arena({ bytes: 100 }).view(Number.NaN, 1), '1 bytes at NaN were not taken'],
  ])('bad numbers are named: %s', (call, message) => {
    expect(call).toThrow(RangeError);
    expect(call).toThrow(message);
  });
});
