import { expect, test } from '@jest/globals';
import { assertAdmitsTen, type Door } from './door.ts';

/** A limiter that allows the questions whose numbers are named. */
function doorThat(allows: (asked: number) => boolean): Door {
  let asked = 0;
  return { name: 'test', take: async () => allows(asked++) };
}

test('a door that admits the first ten and no more passes', async () => {
  await expect(assertAdmitsTen(doorThat((asked) => asked < 10))).resolves.toBeUndefined();
});

test('nine, eleven, all, none, or ten in another order are refused, with what was seen', async () => {
  const wrong = [(n: number) => n < 9, (n: number) => n < 11, () => true, () => false, (n: number) => n >= 1 && n < 11];
  for (const allows of wrong) await expect(assertAdmitsTen(doorThat(allows))).rejects.toThrow('test: of 25 questions');
  await expect(assertAdmitsTen(doorThat((asked) => asked < 9))).rejects.toThrow(`${'1'.repeat(9)}${'0'.repeat(16)}`);
});
