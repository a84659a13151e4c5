import { describe, expect, test } from '@jest/globals';
import { check, checks } from '@plinth/contracts/ratelimit';
import { Problem } from '@plinth/problem';
import { seededRandom } from '@plinth/testkit';
import { RequestPolicies } from '../core/request-policies.ts';
import { readCheck, readChecks } from './read-check.ts';

const policies = new RequestPolicies();
const options = { mode: 'take', policies } as const;

const random = seededRandom();
const { seed, pick } = random;

/** Values that are right, and those that are wrong in each way there is. */
const TEXTS = ['a', 'x y', 'ä', '', 'x'.repeat(65), 'x'.repeat(257), 'x'.repeat(2_049), 7, null];
const UNITS = [0, 1, 1_000_000_000, 1_000_000_001, -1, 0.5, '1', null];
const limitOf = () =>
  pick<unknown>([{ limit: 5, windowMs: 1_000 }, { limit: 5, windowMs: 1_000, nothing: 1 }, 'named', '', 3, {}]);
const entriesOf = () =>
  Array.from({ length: pick([0, 1, 2, 16, 17]) }, () => ({ key: pick(TEXTS), value: pick(TEXTS) }));
const shortOf = () =>
  Object.fromEntries(Array.from({ length: pick([1, 2, 3]) }, (_, at) => [`k${at}`, pick(['v', '', 'ä', 7])]));
const longOf = () => ({
  entries: entriesOf(),
  ...(random() < 0.3 ? { cost: pick(UNITS) } : {}),
  ...(random() < 0.1 ? { other: 1 } : {}),
});

function anyBody(): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  if (random() < 0.5) body.domain = pick(['api', 'a b', '', 'x'.repeat(257), 7]);
  if (random() < 0.6) body.descriptors = pick<unknown>([[shortOf()], [longOf()], [shortOf(), longOf()], [], {}, [7]]);
  else Object.assign(body, { limit: limitOf(), key: pick<unknown>(['k', ['a', 'b'], '', [], 7]) });
  if (random() < 0.3) body.cost = pick(UNITS);
  if (random() < 0.1) body.waitMs = pick([0, 60_000, 60_001]);
  if (random() < 0.1) body.reserveMs = pick([99, 100, 3_600_000, 3_600_001]);
  if (random() < 0.1) body.priority = pick(TEXTS);
  if (random() < 0.05) body.coast = 1;
  return body;
}

/** What the schema leaves to the reader: forms that exclude each other, limits that mean nothing. */
const isBeyondSchema = (message: string) =>
  /one of the two|nothing to be limited|the limit cannot be|is a number: write/.test(message);

describe('a check', () => {
  test(`is taken exactly when its schema takes it (seed ${seed})`, () => {
    let taken = 0;
    for (let round = 0; round < 5_000; round++) {
      const body = anyBody();
      const isRight = check.safeParse(body).success;
      try {
        readCheck(body, options);
        taken += 1;
        expect([isRight, JSON.stringify(body)]).toEqual([true, JSON.stringify(body)]);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (!isBeyondSchema(error.message))
          expect([isRight, JSON.stringify(body), error.message]).toEqual([false, JSON.stringify(body), error.message]);
      }
    }
    expect(taken).toBeGreaterThan(100);
  });

  test('a list is one to a thousand of them', () => {
    const one = { limit: 'x', key: 'y' };
    for (const count of [0, 1, 1_000, 1_001]) {
      const body = Array.from({ length: count }, () => one);
      const isRight = checks.safeParse(body).success;
      expect(isRight).toBe(count === 1 || count === 1_000);
      if (isRight) expect(readChecks(body, options)).toHaveProperty('checks.length', count);
      else expect(() => readChecks(body, options)).toThrow(Problem);
    }
  });

  test('the short form is its entries in the order they are written', () => {
    const { subjects } = readCheck({ descriptors: [{ path: '/x', user: 'u' }] }, options).check;
    expect(subjects).toEqual([
      {
        entries: [
          { key: 'path', value: '/x' },
          { key: 'user', value: 'u' },
        ],
      },
    ]);
  });
});
