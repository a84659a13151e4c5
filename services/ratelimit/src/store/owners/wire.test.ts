import { describe, expect, test } from '@jest/globals';
import { type Charge, policyOf } from '@plinth/limiter';
import { decodeAnswer, decodeCall, encodeAnswer, encodeCall, encodeRefusal, PolicyTexts } from './wire.ts';
import { FULL, MOVED, type Reply, type Wish } from './wish.ts';

const gcra = policyOf({ limit: 10, windowMs: 1_000, burst: 3 });
const month = policyOf({ algorithm: 'calendar', limit: 5, period: 'month', timeZone: 'Europe/Berlin' });
const places = policyOf({ algorithm: 'adaptive', limit: 5, targetMs: 50, shares: { batch: 0.5 } });
const plain: Charge = { key: '3:api"\\\u{1F600}\ud800', policy: gcra, cost: 7, isShadow: false };
const penalised: Charge = {
  ...plain,
  isShadow: true,
  penalty: { denials: 3, withinMs: 500, blockMs: 9_000 },
  agoUs: 12.5,
};
const place: Charge = { key: 'p', policy: places, cost: 1, isShadow: false };

const OUTCOME = {
  isAllowed: false,
  remaining: 3,
  retryAfterUs: Number.POSITIVE_INFINITY,
  resetUs: 16_666.666666666668,
  delayUs: 0.5,
  isBlocked: true,
};

const CASES: [Wish, Reply[]][] = [
  [
    { kind: 'decide', charges: [plain, { ...plain, policy: month }], mode: 'take' },
    [
      { isAllowed: true, outcomes: [OUTCOME, { ...OUTCOME, isAllowed: true, isBlocked: false, retryAfterUs: 0 }] },
      { isAllowed: false, outcomes: [], isUndecided: true },
    ],
  ],
  [{ kind: 'decide', charges: [], mode: 'look' }, [{ isAllowed: true, outcomes: [] }]],
  [
    { kind: 'decide', charges: [penalised, plain], mode: 'debit' },
    [{ isAllowed: false, outcomes: [OUTCOME, OUTCOME] }],
  ],
  [{ kind: 'give', charges: [penalised, plain] }, [undefined]],
  [{ kind: 'reset', charges: [plain] }, [undefined]],
  [{ kind: 'block', charges: [plain], forMs: 1.5 }, [undefined]],
  [
    { kind: 'grant', charges: [plain], want: 50, share: 0.05 },
    [
      { units: 2, retryAfterUs: 0, remaining: 1, resetUs: 12 },
      { units: 0, retryAfterUs: Number.POSITIVE_INFINITY, remaining: 0, resetUs: 0, lifeUs: 77 },
    ],
  ],
  [
    { kind: 'hold', charges: [place], id: 'h1', holdMs: 500, priority: 'batch' },
    [{ id: 'h1', isHeld: true, remaining: 4, limit: 5, retryAfterUs: 0 }],
  ],
  [
    { kind: 'hold', charges: [place], id: 'h1', holdMs: 500, priority: undefined },
    [{ id: 'h1', isHeld: false, remaining: 0, limit: 5, retryAfterUs: Number.POSITIVE_INFINITY }],
  ],
  [{ kind: 'keep', charges: [place], id: 'h1', holdMs: 500 }, [true, false]],
  [{ kind: 'release', charges: [place], id: 'h1', outturn: { latencyMs: 12, isOverload: true } }, [true, false]],
  [{ kind: 'release', charges: [place], id: 'h1', outturn: { latencyMs: undefined, isOverload: false } }, [false]],
  [{ kind: 'claim', charges: [plain], id: 'once', forMs: 9 }, [true, false]],
];

/** Policies are other objects at the other end; what they say is the same. */
const said = (wish: Wish) => ({
  ...wish,
  charges: wish.charges.map(({ policy, ...rest }) => ({ ...rest, spec: policy.spec })),
});

describe('calls', () => {
  test('come back as they went, whatever is in one message', () => {
    const wishes = CASES.map(([wish]) => wish);
    const call = decodeCall(encodeCall({ epoch: 42, wishes }, new PolicyTexts()), new PolicyTexts());
    expect(call.epoch).toBe(42);
    expect(call.wishes.map(said)).toEqual(wishes.map(said));
  });

  test('carry each policy once, and the reader makes it once', () => {
    const charges = Array.from({ length: 50 }, (_, at) => ({ ...plain, key: `${at}` }));
    const text = encodeCall({ epoch: 1, wishes: [{ kind: 'decide', charges, mode: 'take' }] }, new PolicyTexts());
    expect(text.split('burst')).toHaveLength(2);
    const texts = new PolicyTexts();
    const policies = [0, 1].flatMap(() => decodeCall(text, texts).wishes[0]!.charges.map(({ policy }) => policy));
    expect(new Set(policies).size).toBe(1);
  });

  test.each([
    ['no JSON', 'x', /JSON|token/],
    ['another version', '[2,1,[],[]]', /version 2/],
    ['no epoch', '[1,null,[],[]]', /number/],
    ['a policy that is none', '[1,1,["{\\"limit\\":-1}"],[]]', /limit/],
    ['a policy that is not there', '[1,1,[],[[0,[0,"k",1,0]]]]', /policy/],
    ['a wish nobody knows', '[1,1,[],[[99,[]]]]', /wish 99/],
    ['a key that is none', '[1,1,["{\\"limit\\":1,\\"windowMs\\":1}"],[[0,[0,5,1,0]]]]', /5 stands where a text/],
    ['a cost that is none', '[1,1,["{\\"limit\\":1,\\"windowMs\\":1}"],[[0,[0,"k",1.5,0]]]]', /cost is 1.5/],
    [
      'a place where units are wanted',
      '[1,1,["{\\"algorithm\\":\\"concurrency\\",\\"limit\\":1}"],[[0,[0,"k",1,0]]]]',
      /concurrency/,
    ],
    ['units where a place is wanted', '[1,1,["{\\"limit\\":1,\\"windowMs\\":1}"],[[6,[0,"k",1,0],"id",5]]]', /gcra/],
    ['a grant of two', '[1,1,["{\\"limit\\":1,\\"windowMs\\":1}"],[[4,[0,"k",1,0,0,"l",1,0],5,1]]]', /one charge/],
  ])('%s is refused', (_, text, why) => {
    expect(() => decodeCall(text, new PolicyTexts())).toThrow(why);
  });
});

describe('answers', () => {
  test.each(CASES)('to %j come back as they went', (wish, replies) => {
    const all: Reply[] = [...replies, MOVED, FULL];
    const wishes = all.map(() => wish);
    expect(decodeAnswer(encodeAnswer(7, wishes, all), wishes)).toEqual({ epoch: 7, replies: all });
  });

  test('a refusal says why', () => {
    expect(decodeAnswer(encodeRefusal(7, 'why'), [])).toEqual({ epoch: 7, replies: 'why' });
  });

  test('an answer to fewer or more is none', () => {
    const [[wish, replies]] = CASES as [(typeof CASES)[number]];
    const text = encodeAnswer(7, [wish, wish], replies);
    expect(() => decodeAnswer(text, [wish])).toThrow(/2 replies to 1/);
  });
});
