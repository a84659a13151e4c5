import { describe, expect, test } from '@jest/globals';
import { field, fieldsOf, varint } from './protobuf.ts';

describe('a number', () => {
  test('takes a byte for each seven bits, on both sides of the edge', () => {
    expect([...varint(0)]).toEqual([0]);
    expect([...varint(127)]).toEqual([127]);
    expect([...varint(128)]).toEqual([0x80, 1]);
    expect([...varint(300)]).toEqual([0xac, 2]);
  });

  test('comes back as it was, up to the largest whole one', () => {
    for (const number of [1, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      expect([...fieldsOf(field(3, number))]).toEqual([{ number: 3, value: number }]);
    }
  });

  test('that is zero is not written, as a missing field means zero', () => {
    expect(field(1, 0)).toHaveLength(0);
  });
});

describe('a message', () => {
  test('is read field by field in its order, messages inside as bytes', () => {
    const message = Buffer.concat([field(1, 'größe'), field(16, 7), field(2, field(1, 'inside'))]);
    const [text, number, inside] = [...fieldsOf(message)];
    expect(String(text!.value)).toBe('größe');
    expect(number).toEqual({ number: 16, value: 7 });
    expect(String([...fieldsOf(inside!.value as Buffer)][0]!.value)).toBe('inside');
  });

  test('may hold numbers of a fixed width, which are passed over', () => {
    const fixed = Buffer.from([(4 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8, (5 << 3) | 5, 1, 2, 3, 4]);
    expect([...fieldsOf(Buffer.concat([fixed, field(6, 9)]))]).toEqual([{ number: 6, value: 9 }]);
  });

  test('that is cut anywhere inside a field is refused', () => {
    const message = Buffer.concat([field(1, 'text'), field(2, 300)]);
    for (const end of [1, 3, 5, 7, 8])
      expect(() => [...fieldsOf(message.subarray(0, end))]).toThrow(/out of range|behind the end/);
  });
});
