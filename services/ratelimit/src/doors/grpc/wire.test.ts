import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import protobuf from 'protobufjs';
import { FIXED64, LENGTH, Malformed, VARINT, WireReader, WireWriter } from './wire.ts';

const { Reader, Writer } = protobuf;

const EDGES = [
  0,
  1,
  127,
  128,
  16_383,
  16_384,
  2 ** 21 - 1,
  2 ** 21,
  2 ** 28 - 1,
  2 ** 28,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 35,
  2 ** 42 - 1,
  2 ** 49,
  2 ** 53 - 1,
];

function written(write: (writer: WireWriter) => void): Buffer {
  const writer = new WireWriter();
  writer.begin();
  write(writer);
  return writer.take();
}

describe('numbers', () => {
  test.each(EDGES)('%d is written as protobufjs writes it, and read back', (value) => {
    const bytes = written((writer) => writer.varint(value));
    expect(bytes).toEqual(Buffer.from(new Writer().uint64(value).finish()));
    expect(new WireReader().open(bytes).uint64()).toBe(value);
    if (value < 2 ** 32) expect(new WireReader().open(bytes).uint32()).toBe(value);
  });

  test('of 64 bits are read to their lowest 32 where only these count', () => {
    expect(new WireReader().open(Buffer.from('ffffffffffffffffff01', 'hex')).uint32()).toBe(2 ** 32 - 1);
    expect(new WireReader().open(written((writer) => writer.varint(2 ** 32 + 5))).uint32()).toBe(5);
  });

  test('below 0 are read as int64', () => {
    expect(new WireReader().open(Buffer.from(new Writer().int64(-1).finish())).int64()).toBe(-1);
    expect(new WireReader().open(Buffer.from(new Writer().int64(-2_000_000).finish())).int64()).toBe(-2_000_000);
    expect(new WireReader().open(Buffer.from(new Writer().int64(7).finish())).int64()).toBe(7);
  });

  test('of 11 bytes are malformed', () => {
    const bytes = Buffer.from('8080808080808080808001', 'hex');
    expect(() => new WireReader().open(bytes).uint32()).toThrow('more than 10 bytes');
    expect(() => new WireReader().open(bytes).uint64()).toThrow('more than 10 bytes');
  });
});

describe('fields', () => {
  test('that are not known are skipped, of all wire types', () => {
    const writer = new Writer();
    writer.uint32(8 + VARINT).uint64(2 ** 40);
    writer.uint32(8 + FIXED64).fixed64(5);
    writer.uint32(8 + LENGTH).string('skipped');
    writer.uint32(8 + 5).fixed32(5);
    writer
      .uint32(8 + 3)
      .uint32(16 + VARINT)
      .uint32(1)
      .uint32(8 + 4);
    writer.uint32(16 + LENGTH).string('found');
    const reader = new WireReader().open(Buffer.from(writer.finish()));
    for (let skipped = 0; skipped < 5; skipped++) reader.skip(reader.tag());
    expect(reader.tag()).toBe(16 + LENGTH);
    expect(reader.string('it', 5)).toBe('found');
    expect(reader.hasMore).toBe(false);
  });

  test.each([
    ['of number 0', '00'],
    ['of wire type 6', '0e'],
    ['cut off in its length', '0a'],
    ['behind its message', '0a05aa'],
    ['of 8 bytes, cut off', '0901'],
    ['of a group that does not end', '0b0801'],
    ['of a group that another ends', '0b14'],
    ['of the end of a group', '0c'],
    ['of groups in groups in groups', '0b'.repeat(40)],
  ])('%s are malformed', (_what, hex) => {
    const reader = new WireReader().open(Buffer.from(hex, 'hex'));
    expect(() => reader.skip(reader.tag())).toThrow(Malformed);
  });

  test('inside of a message end with it', () => {
    const inner = written((writer) => writer.string(1, 'inner'));
    const reader = new WireReader().open(
      Buffer.concat([written((writer) => writer.bytes(2, Buffer.of(8))), written((writer) => writer.bytes(2, inner))]),
    );
    for (const isWhole of [false, true]) {
      expect(reader.tag()).toBe(16 + LENGTH);
      const outerEnd = reader.enter();
      const field = reader.tag();
      // The field of the first one is cut off by the end of its message, though there are bytes behind it.
      if (isWhole) expect(reader.string('it', 10)).toBe('inner');
      else expect(() => reader.skip(field)).toThrow(Malformed);
      reader.leave(outerEnd);
    }
  });
});

describe('text', () => {
  test.each(['', 'plain', 'é', '日本語', '🦀'.repeat(100)])('%j is written and read back', (text) => {
    const bytes = written((writer) => writer.entry(1, text));
    expect(bytes).toEqual(Buffer.from(new Writer().uint32(10).string(text).finish()));
    const reader = new WireReader().open(bytes);
    reader.tag();
    expect(reader.string('it', 1_000)).toBe(text);
  });

  test('that is not UTF-8, or too long, is refused by its name', () => {
    const read = (bytes: Buffer) => {
      const reader = new WireReader().open(written((writer) => writer.bytes(1, bytes)));
      reader.tag();
      return () => reader.string('the name', 3);
    };
    expect(read(Buffer.from('abcd'))).toThrow('the name is 4 bytes; the most is 3');
    expect(read(Buffer.from('éa'))()).toBe('éa');
    expect(read(Buffer.of(0xc3))).toThrow('the name is not UTF-8');
    expect(read(Buffer.of(0xed, 0xa0, 0x80))).toThrow('the name is not UTF-8');
  });
});

test('a message larger than the room for it is written whole', () => {
  const text = 'x'.repeat(100_000);
  const bytes = written((writer) => {
    writer.string(2, text);
    writer.string(1, 'head');
  });
  const reader = Reader.create(bytes);
  expect([reader.uint32(), reader.string(), reader.uint32(), reader.string()]).toEqual([10, 'head', 18, text]);
});

test('random bytes are read or malformed, and never beyond their end', () => {
  const random = seededRandom();
  const reader = new WireReader();
  for (let run = 0; run < 20_000; run++) {
    const bytes = Buffer.from(Array.from({ length: random.int(40) }, () => random.int(random.pick([16, 256]))));
    reader.open(bytes, 0, random.int(bytes.length + 1));
    try {
      while (reader.hasMore) {
        const tag = reader.tag();
        if (random() < 0.3 && (tag & 7) === LENGTH) reader.leave(reader.enter());
        else reader.skip(tag);
      }
    } catch (error) {
      expect(error).toBeInstanceOf(Malformed);
    }
  }
});
