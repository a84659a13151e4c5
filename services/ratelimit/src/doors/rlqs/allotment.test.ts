import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { Allotment, type Member } from './allotment.ts';

const TTL_MS = 1_000;

/** Reports of all, again and again, until shares stand still. */
function settle(allotment: Allotment, demands: ReadonlyMap<Member, number>): void {
  for (let round = 0; round < 40; round++) {
    for (const [member, demand] of demands) allotment.report(member, demand, 1_000);
    for (const member of allotment.divide()) member.expiresMs = Number.POSITIVE_INFINITY;
  }
}

const rounded = (members: readonly Member[]) => members.map(({ share }) => Math.round(share));

describe('a rate of 100', () => {
  test('belongs to one who is alone, whatever it asks for', () => {
    const allotment = new Allotment(100);
    const alone = allotment.join();
    allotment.divide();
    expect(Math.round(alone.share)).toBe(100);
    settle(allotment, new Map([[alone, 1]]));
    expect(Math.round(alone.share)).toBe(100);
  });

  test.each([
    ['is shared alike by those who want all of it', [500, 900], [50, 50]],
    ['gives a small wish, and the rest to the large one', [8, 900], [10, 90]],
    ['gives what is left to all alike when nobody needs it', [8, 24], [40, 60]],
    ['is fair to each of several: nobody who wants more has less', [8, 40, 900, 900], [10, 30, 30, 30]],
  ])('%s', (_what, demands, shares) => {
    const allotment = new Allotment(100);
    const members = demands.map(() => allotment.join());
    settle(allotment, new Map(members.map((member, at) => [member, demands[at]!])));
    expect(rounded(members)).toEqual(shares);
  });
});

describe('a newcomer', () => {
  test('gets nothing while others have not heard that they have less, and its share as soon as they have', () => {
    const allotment = new Allotment(100);
    const first = allotment.join();
    allotment.divide();
    const second = allotment.join();
    expect(allotment.divide()).toEqual([first]);
    expect([Math.round(first.share), Math.round(first.held), second.share]).toEqual([50, 100, 0]);
    // Asked again and again, it shrinks nobody twice.
    expect(allotment.divide()).toEqual([]);
    allotment.report(first, 0, 0);
    expect(allotment.divide()).toEqual([second]);
    expect(rounded([first, second])).toEqual([50, 50]);
  });

  test('gets the share of one who said goodbye at once, and of one who went without a word when it expires', () => {
    const allotment = new Allotment(100);
    const [polite, rude] = [allotment.join(), allotment.join()];
    allotment.divide();
    for (const member of [polite, rude]) member.expiresMs = TTL_MS;
    expect(rounded([polite, rude])).toEqual([50, 50]);
    allotment.leave(polite, true);
    allotment.leave(rude, false);
    const newcomer = allotment.join();
    allotment.divide();
    newcomer.expiresMs = 10 * TTL_MS;
    expect(Math.round(newcomer.share)).toBe(50);
    allotment.expire(TTL_MS - 1);
    expect(allotment.divide()).toEqual([]);
    allotment.expire(TTL_MS);
    expect(allotment.divide()).toEqual([newcomer]);
    expect(Math.round(newcomer.share)).toBe(100);
  });
});

test('a rate that shrinks takes from all, and nobody grows until it is kept', () => {
  const allotment = new Allotment(100);
  const members = [allotment.join(), allotment.join()];
  allotment.divide();
  allotment.rate = 10;
  expect(allotment.divide()).toEqual(members);
  expect(rounded(members)).toEqual([5, 5]);
  expect(Math.round(allotment.held)).toBe(100);
});

/** A client as the protocol has it: it uses what it heard of last, until that expires. */
interface SimulatedClient {
  member: Member;
  rate: number;
  expiresMs: number;
  /** Told and not heard yet. */
  inbox: { rate: number; expiresMs: number }[];
  isGone: boolean;
}

test('what clients use together is never more than the rate, whoever comes, goes, lags or dies', () => {
  const random = seededRandom();
  const RATE = 1_000;
  let most = 0;
  for (let run = 0; run < 30; run++) {
    const allotment = new Allotment(RATE);
    const clients: SimulatedClient[] = [];
    let nowMs = 0;
    const tell = () => {
      for (const member of allotment.divide()) {
        member.expiresMs = nowMs + TTL_MS;
        const client = clients.find((each) => each.member === member)!;
        client.inbox.push({ rate: member.share, expiresMs: member.expiresMs });
      }
    };
    for (let step = 0; step < 400; step++) {
      nowMs += random.int(60);
      const client = clients.length === 0 ? undefined : random.pick(clients);
      const wish = random();
      if (client === undefined || (wish < 0.1 && clients.length < 12)) {
        clients.push({ member: allotment.join(), rate: 0, expiresMs: 0, inbox: [], isGone: false });
      } else if (client.isGone) continue;
      else if (wish < 0.15) {
        // It goes without a word, and uses what it has to the end; what is on its way it may hear of or not.
        client.isGone = true;
        if (random() < 0.5) hear(client);
        allotment.leave(client.member, false);
      } else if (wish < 0.2) {
        Object.assign(client, { isGone: true, rate: 0 });
        allotment.leave(client.member, true);
      } else if (wish < 0.6) hear(client);
      else {
        hear(client);
        allotment.report(client.member, random.int(RATE), 1 + random.int(2_000));
      }
      allotment.expire(nowMs);
      tell();
      const used = clients.filter(({ expiresMs }) => expiresMs > nowMs).reduce((sum, { rate }) => sum + rate, 0);
      most = Math.max(most, used);
      expect(used).toBeLessThanOrEqual(RATE);
      expect(allotment.held).toBeLessThanOrEqual(RATE);
    }
  }
  // And it is used: nearly all of it, when clients live.
  expect(most).toBeGreaterThan(RATE * 0.99);
});

function hear(client: SimulatedClient): void {
  for (const { rate, expiresMs } of client.inbox.splice(0)) Object.assign(client, { rate, expiresMs });
}
