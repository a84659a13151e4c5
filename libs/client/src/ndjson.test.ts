import { describe, expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { LINE_BYTES_MAX, LineSplitter, ndjsonValues } from './ndjson.ts';

const VALUES = [{ type: 'put', key: 'käse/🧀', value: 'a\nb\u2028c' }, { type: 'progress', revision: 7 }, 'x', 1, null];
const BYTES = Buffer.from(VALUES.map((value) => `${JSON.stringify(value)}\n`).join(''));

async function* inChunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function valuesOf(chunks: AsyncIterable<Uint8Array>): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const some of ndjsonValues(chunks)) values.push(...some);
  return values;
}

describe('NDJSON', () => {
  test('chunks of any size give the same values, byte by byte included', async () => {
    for (let size = 1; size <= BYTES.length; size++) {
      expect(await valuesOf(inChunksOf(BYTES, size))).toEqual(VALUES);
    }
  });

  test('every place to cut in two gives the same values', async () => {
    for (let at = 0; at <= BYTES.length; at++) {
      const chunks = async function* () {
        yield BYTES.subarray(0, at);
        yield BYTES.subarray(at);
      };
      expect(await valuesOf(chunks())).toEqual(VALUES);
    }
  });

  test('the values of one chunk come together', async () => {
    const groups: unknown[][] = [];
    for await (const some of ndjsonValues(inChunksOf(BYTES, BYTES.length))) groups.push(some);
    expect(groups).toEqual([VALUES]);
  });

  test('empty lines and Windows line ends are read over', async () => {
    expect(await valuesOf(inChunksOf(Buffer.from('\n1\r\n\r\n  \n2\n'), 3))).toEqual([1, 2]);
  });

  test('a last line without its newline was cut off and does not count, not even when it is JSON', async () => {
    expect(await valuesOf(inChunksOf(Buffer.from('1\n23'), 2))).toEqual([1]);
  });

  test('a line that is no JSON is a problem that shows it', async () => {
    await expect(valuesOf(inChunksOf(Buffer.from('<html>\n'), 4))).rejects.toThrow(/no JSON: <html>/);
  });

  test('a line may be as long as its bound and not a byte longer', () => {
    const splitter = new LineSplitter();
    expect(splitter.push(Buffer.alloc(LINE_BYTES_MAX, 'a'))).toEqual([]);
    expect(splitter.push(Buffer.from('\n'))[0]).toHaveLength(LINE_BYTES_MAX);
    splitter.push(Buffer.alloc(LINE_BYTES_MAX, 'a'));
    expect(() => splitter.push(Buffer.from('a\n'))).toThrow(Problem);
  });
});
