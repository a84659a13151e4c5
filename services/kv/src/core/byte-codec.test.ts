import { describe, expect, it } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { afterPrefix, ByteReader, ByteWriter, key32, key56, readKey32, readKey56 } from './byte-codec.ts';

const MAX = Number.MAX_SAFE_INTEGER;
/** Both sides of every place where one more byte or another way of computing begins. */
const EDGES = [7, 14, 21, 28, 31, 32, 35, 42, 49, 52].flatMap((bits) => [2 ** bits - 1, 2 ** bits, 2 ** bits + 1]);
const NUMBERS = [0, 1, ...EDGES, MAX - 1, MAX];
const EVERY_BYTE = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));

describe('a varint', () => {
  it.each(NUMBERS)('of %d is read back', (number) => {
    const reader = new ByteReader(new ByteWriter().varint(number).varint(7).finish());
    expect([reader.varint(), reader.varint()]).toEqual([number, 7]);
  });

  it('takes 1 byte up to 127, 2 from 128, and 8 at most', () => {
    const size = (number: number) => new ByteWriter().varint(number).finish().length;
    expect([0, 127, 128, 16_383, 16_384, MAX].map(size)).toEqual([1, 1, 2, 2, 3, 8]);
  });
});

describe('a writer and its reader', () => {
  it('agree on fields of every kind, one after the other', () => {
    const bytes = new ByteWriter()
      .byte(255)
      .text('')
      .text(EVERY_BYTE)
      .varint(MAX)
      .rest(Buffer.from([0, 1]))
      .finish();
    const reader = new ByteReader(bytes);
    expect([reader.byte(), reader.text(), reader.text(), reader.varint()]).toEqual([255, '', EVERY_BYTE, MAX]);
    expect([...reader.rest()]).toEqual([0, 1]);
  });

  it('agree on bytes that are no Buffer, somewhere inside a larger array', () => {
    const written = new ByteWriter()
      .text('abc')
      .rest(Buffer.from([9]))
      .finish();
    const larger = new Uint8Array(written.length + 5);
    larger.set(written, 3);
    const reader = new ByteReader(larger.subarray(3, 3 + written.length));
    expect([reader.text(), [...reader.rest()]]).toEqual(['abc', [9]]);
  });

  it('hand out a view of one value at a time, and grow for large ones', () => {
    const writer = new ByteWriter();
    expect(new ByteReader(writer.text('first').finish()).text()).toBe('first');
    const large = writer.byte(1).rest(Buffer.alloc(1_048_576, 7)).finish();
    expect([large.length, large[1], large.at(-1)]).toEqual([1_048_577, 7, 7]);
    expect(new ByteReader(writer.text('second').finish()).text()).toBe('second');
  });

  it('agree on random fields', () => {
    const random = seededRandom();
    const writer = new ByteWriter();
    for (let round = 0; round < 500; round++) {
      const fields = Array.from({ length: random.int(20) }, () =>
        random.int(2) === 0 ? Math.floor(random() * 2 ** random.int(54)) : EVERY_BYTE.slice(random.int(256)),
      );
      for (const field of fields) typeof field === 'number' ? writer.varint(field) : writer.text(field);
      const reader = new ByteReader(writer.finish());
      expect(fields.map((field) => (typeof field === 'number' ? reader.varint() : reader.text()))).toEqual(fields);
      expect(reader.rest()).toHaveLength(0);
    }
  });
});

describe('a number in a key', () => {
  const NUMBERS_32 = NUMBERS.filter((number) => number < 2 ** 32);

  it('is read back from anywhere', () => {
    for (const number of NUMBERS_32) expect(readKey32(`ab${key32(number)}c`, 2)).toBe(number);
    for (const number of NUMBERS) expect(readKey56(`ab${key56(number)}c`, 2)).toBe(number);
  });

  it('has a fixed width and sorts as the number does', () => {
    const sorted = [...new Set(NUMBERS)].sort((a, b) => a - b);
    expect(sorted.map(key56).toSorted()).toEqual(sorted.map(key56));
    expect(new Set(NUMBERS.map((number) => key56(number).length))).toEqual(new Set([7]));
    const sorted32 = [...new Set(NUMBERS_32)].sort((a, b) => a - b);
    expect(sorted32.map(key32).toSorted()).toEqual(sorted32.map(key32));
    expect(new Set(NUMBERS_32.map((number) => key32(number).length))).toEqual(new Set([4]));
  });
});

describe('what comes after a prefix', () => {
  it('is the prefix with its last byte raised', () => {
    expect(afterPrefix('a')).toBe('b');
    expect(afterPrefix('a/')).toBe('a0');
  });

  it('drops bytes that cannot be raised', () => {
    expect(afterPrefix('a\xff\xff')).toBe('b');
    expect(afterPrefix('\xfe\xff')).toBe('\xff');
  });

  it('is nothing behind no prefix, and behind bytes that are all 255', () => {
    expect(afterPrefix('')).toBeUndefined();
    expect(afterPrefix('\xff\xff')).toBeUndefined();
  });
});
