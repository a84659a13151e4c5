import { expect, test } from '@jest/globals';
import { policyOf } from '@plinth/limiter';
import { seededRandom } from '@plinth/testkit';
import type { Limit, Verdict } from '../core/verdict.ts';
import { VerdictList } from './verdict-list.ts';
import { checkAnswer, checkText } from './write-verdict.ts';

const random = seededRandom();
const { seed, pick } = random;
const POLICIES = [
  undefined,
  policyOf({ limit: 5, windowMs: 1_500 }),
  policyOf({ algorithm: 'calendar', limit: 9, period: 'month' }),
];

function anyLimit(): Limit {
  return {
    rule: undefined,
    name: pick(['per-user', 'a "quoted" one', 'back\\slash', 'Übergröße', 'a\tb', '']),
    policy: pick(POLICIES),
    key: 'k',
    isAllowed: random() < 0.5,
    remaining: pick([0, 3, -2]),
    retryAfterUs: pick([0, 1, 999.5, 1_000_001, Number.POSITIVE_INFINITY]),
    resetUs: pick([0, 0.5, 12_345]),
    delayUs: 0,
    isShadow: random() < 0.2,
    because: pick([undefined, undefined, 'blocked', 'allow-list', 'deny-list'] as const),
  };
}

function anyVerdict(): Verdict {
  return {
    isAllowed: random() < 0.5,
    limits: Array.from({ length: random.int(4) }, () => (random() < 0.2 ? undefined : anyLimit())),
    degraded: pick([undefined, undefined, 'open', 'local', 'closed'] as const),
    retryAfterUs: pick([0, 7, Number.POSITIVE_INFINITY]),
    delayUs: pick([0, 0, 1_500]),
  };
}

test(`a verdict written as text is the JSON of its answer (seed ${seed})`, () => {
  for (let round = 0; round < 5_000; round++) {
    const verdict = anyVerdict();
    expect(checkText(verdict)).toBe(JSON.stringify(checkAnswer(verdict)));
  }
});

test(`a list of verdicts is the JSON of their answers (seed ${seed})`, () => {
  const list = new VerdictList();
  for (let round = 0; round < 2_000; round++) {
    const verdicts = Array.from({ length: 1 + random.int(6) }, () =>
      random() < 0.5 ? anyVerdict() : { ...anyVerdict(), isAllowed: true, limits: [plainLimit(), plainLimit()] },
    );
    expect(list.write(verdicts).toString()).toBe(JSON.stringify(verdicts.map(checkAnswer)));
  }
});

function plainLimit(): Limit {
  return { ...anyLimit(), isAllowed: true, isShadow: false, because: undefined, remaining: random.int(3_000_000_000) };
}
