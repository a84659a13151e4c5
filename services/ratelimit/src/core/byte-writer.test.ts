import { expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { ByteWriter } from './byte-writer.ts';

const random = seededRandom();

test(`numbers are written as JavaScript does (seed ${random.seed})`, () => {
  const writer = new ByteWriter();
  const edges = [0, 9, 10, 99, 100, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 1e15, Number.MAX_SAFE_INTEGER];
  const others = Array.from({ length: 10_000 }, () => Math.floor(2 ** (random() * 53)));
  for (const value of [...edges, ...others]) {
    writer.digits(value);
    expect(writer.take().toString()).toBe(String(value));
  }
});

test('what does not fit makes room, and nothing written before is lost', () => {
  const writer = new ByteWriter();
  const part = Buffer.alloc(50_000, 'x');
  writer.text('ä');
  for (let at = 0; at < 10; at++) writer.raw(part);
  writer.byte(33);
  expect(writer.size).toBe(500_003);
  expect(writer.take().toString()).toBe(`ä${'x'.repeat(500_000)}!`);
  expect(writer.take()).toHaveLength(0);
});
