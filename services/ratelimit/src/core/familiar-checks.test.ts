import { expect, test } from '@jest/globals';
import { policyOf } from '@plinth/limiter';
import { parseRules } from '../rules/parse-rules.ts';
import { FamiliarChecks } from './familiar-checks.ts';
import { resolve } from './resolve.ts';
import { RuleBook } from './rule-book.ts';
import { type Check, checkOf, subjectOf } from './verdict.ts';

const bookOf = (limit: number) =>
  new RuleBook([
    parseRules(`domain: api\nrules:\n  - {name: u, match: {user: "*"}, limit: ${limit}, window: 1s}\n`, 't'),
  ]);
const policy = policyOf({ limit: 3, windowMs: 1_000 });
const other = policyOf({ limit: 4, windowMs: 1_000 });
const byUser = (value: string, cost = 1) => checkOf('api', [subjectOf([{ key: 'user', value }])], cost, 'take');

/** Meets a check as often as it takes to be remembered. */
function remember(familiar: FamiliarChecks, book: RuleBook, check: Check): void {
  familiar.find(book, check);
  for (let times = 0; times < 16; times++) familiar.meet(resolve(book, check, { shadowAll: false }));
}

test('a check that came again and again is found, with the key of its state', () => {
  const [familiar, book] = [new FamiliarChecks(), bookOf(5)];
  const check = byUser('ann');
  expect(familiar.find(book, check)).toBeUndefined();
  remember(familiar, book, check);
  const { subjects, charges, keyHash } = familiar.find(book, byUser('ann'))!;
  expect({ subjects, charges }).toEqual({ subjects: resolve(book, check, { shadowAll: false }).subjects, charges });
  expect(keyHash).toEqual(expect.any(Number));
});

test('another rule book begins with nothing', () => {
  const [familiar, book] = [new FamiliarChecks(), bookOf(5)];
  remember(familiar, book, byUser('ann'));
  expect(familiar.find(bookOf(6), byUser('ann'))).toBeUndefined();
  expect(familiar.find(book, byUser('ann'))).toBeUndefined();
});

test('what differs in anything is another check', () => {
  const [familiar, book] = [new FamiliarChecks(), bookOf(5)];
  const entries = [{ key: 'key', value: 'ann' }];
  const inline = checkOf('api', [subjectOf(entries, { policy })], 1, 'take');
  for (const check of [byUser('ann'), inline]) remember(familiar, book, check);
  const others = [
    byUser('bob'),
    byUser('ann', 2),
    { ...byUser('ann'), mode: 'look' as const },
    { ...byUser('ann'), domain: 'web' },
    checkOf('api', [subjectOf([{ key: 'path', value: 'ann' }])], 1, 'take'),
    checkOf('api', [subjectOf(entries, { cost: 1, policy })], 1, 'take'),
    checkOf('api', [subjectOf(entries, { policy: other })], 1, 'take'),
    checkOf('api', [subjectOf([{ key: 'user', value: 'ann' }], { policy })], 1, 'take'),
    checkOf('api', [subjectOf(entries, { ruleName: 'u' })], 1, 'take'),
    checkOf('api', [...inline.subjects, ...inline.subjects], 1, 'take'),
  ];
  for (const check of others) expect(familiar.find(book, check)).toBeUndefined();
  for (const check of [byUser('ann'), inline]) expect(familiar.find(book, check)).toBeDefined();
});
