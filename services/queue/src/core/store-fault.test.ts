import { describe, expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import type { Lane } from '../store/lane.ts';
import { callStore, type Effect } from './store-fault.ts';

const lane = (reason?: string) => ({ notReady: () => reason }) as Lane;
const named = (error: Error, members: object) => Object.assign(error, members);

const failing = (error: unknown, effect: Effect = 'change', reason?: string) =>
  callStore(lane(reason), effect, () => Promise.reject(error));

describe('a failing store', () => {
  test('that is away before the call is not called: nothing happened', async () => {
    const call = callStore(lane('Redis is connecting'), 'change', () => Promise.reject(new Error('was called')));
    await expect(call).rejects.toMatchObject({ code: 'unavailable', message: 'Redis is connecting' });
  });

  test.each([
    [
      'a connection that broke under a change leaves it unknown',
      new Error('Connection is closed.'),
      'change',
      'outcome_unknown',
    ],
    ['what may be repeated is merely unavailable', new Error('Connection is closed.'), 'repeatable', 'unavailable'],
    [
      'a store that knows that nothing happened is believed',
      named(new Error('x'), { isOutcomeUnknown: false }),
      'change',
      'unavailable',
    ],
    ['and one that does not know, too', named(new Error('x'), { isOutcomeUnknown: true }), 'change', 'outcome_unknown'],
    [
      'Redis without memory has done nothing',
      named(new Error('OOM command not allowed'), { name: 'ReplyError' }),
      'change',
      'unavailable',
    ],
    ['a problem stays what it is', new Problem('conflict', 'x'), 'change', 'conflict'],
  ] as const)('%s', async (_, error, effect, code) => {
    await expect(failing(error, effect)).rejects.toMatchObject({ code });
  });

  test.each([new TypeError('a bug'), named(new Error('ERR user_script:1'), { name: 'ReplyError' })])(
    'a bug is not dressed up: %s',
    async (bug) => {
      await expect(failing(bug)).rejects.toBe(bug);
    },
  );
});
