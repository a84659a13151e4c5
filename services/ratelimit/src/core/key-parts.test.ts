import { expect, test } from '@jest/globals';
import { stateKey } from '@plinth/limiter';
import { seededRandom } from '@plinth/testkit';
import { keyParts } from './key-parts.ts';

test.each([[[]], [['']], [['api', 'user', '']], [['a:b', '3:x', ':']], [['é𝄞', '\n', '12']]])(
  'the parts of the key of %j come back',
  (parts) => {
    expect(keyParts(stateKey(parts))).toEqual(parts);
  },
);

test('whatever they are', () => {
  const random = seededRandom();
  const letters = [...'ab:12é'];
  for (let round = 0; round < 1_000; round++) {
    const parts = Array.from({ length: random.int(5) }, () =>
      Array.from({ length: random.int(12) }, () => random.pick(letters)).join(''),
    );
    expect(keyParts(stateKey(parts))).toEqual(parts);
  }
});
