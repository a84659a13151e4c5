import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { JsonSpans } from './json-spans.ts';
import { jsonValue, spaced } from './random-json.fixture.ts';

const random = seededRandom();
const { seed } = random;

function dataOf(text: string): { written: string; depth: number; end: number } | undefined {
  const spans = new JsonSpans(text);
  if (!spans.member(spans.start, 'data')) return undefined;
  return { written: text.slice(spans.from, spans.to), depth: spans.depth, end: spans.end };
}

describe('a member of a JSON text', () => {
  test.each([
    ['{"data":1}', '1', 0],
    [' \n{ "a" : [1,{"data":2}] , "data" : {"b":[]} }\t', '{"b":[]}', 2],
    ['{"data":"}\\"\\\\","x":1}', '"}\\"\\\\"', 0],
    ['{"data":9007199254740993}', '9007199254740993', 0],
    ['{"data":[1, 2 ]}', '[1, 2 ]', 1],
    ['{"\\u0064ata":true}', 'true', 0],
    ['{"data":1,"data":null}', 'null', 0],
    ['{"data":-1.5e-7}', '-1.5e-7', 0],
  ])('of %s is %s, %d deep', (text, written, depth) => {
    expect(dataOf(text)).toMatchObject({ written, depth });
  });

  test('is not there where JSON.parse does not see it', () => {
    for (const text of ['{}', '{ }', '{"a":{"data":1}}', '{"dat":1,"data2":2}', '{"x":"data"}']) {
      expect(dataOf(text)).toBeUndefined();
    }
  });

  test(`is what JSON.parse says, in texts of all kinds (seed ${seed})`, () => {
    for (let round = 0; round < 2_000; round++) {
      const value = { [`a${round}`]: jsonValue(random, 3), data: jsonValue(random, 4), z: jsonValue(random, 2) };
      const text = spaced(random, JSON.stringify(value));
      const found = dataOf(text)!;
      expect(JSON.parse(found.written)).toEqual(value.data);
      expect(text.slice(found.end).trim()).toBe('');
      expect(found.depth).toBe(depthOf(value.data));
    }
  });
});

test(`the elements of an array are found one by one (seed ${seed})`, () => {
  for (let round = 0; round < 500; round++) {
    const list = Array.from({ length: random.int(6) }, () => jsonValue(random, 3));
    const spans = new JsonSpans(spaced(random, JSON.stringify(list)));
    const found: unknown[] = [];
    for (let at = spans.firstElement(spans.start); at >= 0; at = spans.nextElement(spans.end)) {
      spans.value(at);
      found.push(JSON.parse(spans.text.slice(spans.from, spans.to)));
    }
    expect(found).toEqual(list);
  }
});

test('a string of a million backslashes is run over once', () => {
  const text = JSON.stringify({ x: '\\"'.repeat(500_000), data: 7 });
  const startMs = performance.now();
  expect(dataOf(text)).toMatchObject({ written: '7' });
  expect(performance.now() - startMs).toBeLessThan(5_000);
});

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
