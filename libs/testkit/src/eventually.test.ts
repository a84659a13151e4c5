import { expect, test } from '@jest/globals';
import { eventually } from './testkit.ts';

test('resolves with the first value that is not false', async () => {
  let tries = 0;
  expect(await eventually(() => (++tries < 3 ? false : 'done'), { intervalMs: 1 })).toBe('done');
  expect(tries).toBe(3);
});

test('an attempt that only asserts may resolve with nothing', async () => {
  let tries = 0;
  await eventually(() => expect(++tries).toBe(2), { intervalMs: 1 });
  expect(tries).toBe(2);
});

test('gives up with the last failure as reason and cause', async () => {
  const cause = new Error('not yet');
  const attempt = () => Promise.reject(cause);
  await expect(eventually(attempt, { timeoutMs: 20, intervalMs: 5 })).rejects.toMatchObject({
    message: 'not within 20 ms: not yet',
    cause,
  });
});
