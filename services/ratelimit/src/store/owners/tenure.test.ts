/** Who decides a slot while its token changes hands: each step in an order that no luck would bring about. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { policyOf, processClock } from '@plinth/limiter';
import { eventually, withNats } from '@plinth/testkit';
import { Estate } from './estate.ts';
import { type Delivery, Post } from './post.ts';
import { charge, keysOf } from './replicas.fixture.ts';
import { SLOTS, slotOf, slotTable } from './slots.ts';
import { Tenure } from './tenure.ts';

const nats = withNats();
let connection: NatsConnection;
beforeAll(async () => {
  connection = await connect({ servers: nats.url });
});
afterAll(() => connection.close());

/** Holds messages of one kind back until it is told to let them go. */
class GatedPost extends Post {
  readonly held: string[] = [];
  readonly texts: string[] = [];
  #to: string | undefined;
  #gate = Promise.withResolvers<void>();
  #kind = '';

  /** @param to - Only those to this member. */
  hold(kind: 'page' | 'take', to?: string): void {
    this.#to = to;
    this.#kind = `{"kind":"${kind}"`;
    this.#gate = Promise.withResolvers();
  }

  release(): void {
    this.#kind = '';
    this.#gate.resolve();
  }

  override async ask(to: { id: string; box: 'call' | 'slots' }, text: string, timeoutMs: number): Promise<Delivery> {
    if (this.#kind !== '' && text.startsWith(this.#kind) && to.id === (this.#to ?? to.id)) {
      this.held.push(to.id);
      this.texts.push(text);
      await this.#gate.promise;
    }
    return super.ask(to, text, timeoutMs);
  }
}

const limit = policyOf({ algorithm: 'fixed', limit: 100, windowMs: 3_600_000 });
let names = 0;

/**
 * Members that are told of views by hand. `recalled`: slots that each took for lost; `stale`: those of them that it had
 * states of. `mayRecall`: looking for lost states takes until then.
 */
function membersOf(count: number, { isSlow = false } = {}) {
  const run = ++names;
  return Array.from({ length: count }, (_, at) => {
    const id = `t${run}-${at}`;
    const post = new GatedPost(connection, id);
    const clock = processClock();
    const estate = new Estate({ clock, log: undefined, taken: () => undefined, dropped: () => undefined });
    const recalled: number[] = [];
    const stale: number[] = [];
    const mayRecall = Promise.withResolvers<void>();
    const tenure = new Tenure({
      me: id,
      post,
      estate,
      log: undefined,
      nowMs: () => performance.now(),
      recall: async (orphans, outdated) => {
        recalled.push(...orphans);
        stale.push(...outdated);
        if (isSlow) await mayRecall.promise;
      },
      onGain: () => undefined,
    });
    post.open({ call: () => '', slots: (text) => tenure.receive(text) });
    return { id, post, estate, tenure, recalled, stale, mayRecall: mayRecall.resolve };
  });
}
type Member = ReturnType<typeof membersOf>[number];

/** @param hearing - Those who hear of it. Default all. */
function tell(
  epoch: number,
  members: readonly Member[],
  { active = members, told = members }: { active?: readonly Member[]; told?: readonly Member[] } = {},
): void {
  const view = { epoch, members: members.map(({ id }) => id), active: active.map(({ id }) => id) };
  for (const { tenure } of told) tenure.adopt(view, slotTable(view.active));
}

const allReady = (...members: Member[]) =>
  eventually(() => members.reduce((sum, { tenure }) => sum + tenure.readyCount, 0) === SLOTS);

const used = ({ estate }: Member, key: string): number | undefined =>
  [...estate.ledger.exportKeys([key])].length === 0
    ? undefined
    : 100 -
      (
        estate.perform({ kind: 'decide', charges: [charge(key, limit, 0)], mode: 'look' }) as never as {
          outcomes: { remaining: number }[];
        }
      ).outcomes[0]!.remaining;

describe('a member that comes while another is being handed its slots', () => {
  test('nobody makes tokens of those on their way, and no unit is counted twice', async () => {
    const [first, second, third] = membersOf(3) as [Member, Member, Member];
    tell(1, [first]);
    await allReady(first);
    first.recalled.length = 0;
    const ids = [first.id, second.id, third.id];
    const [key] = keysOf(second.id, ids, 1) as [string];
    first.estate.perform({ kind: 'decide', charges: [charge(key, limit, 30)], mode: 'take' });
    first.post.hold('page');
    tell(2, [first, second]);
    await eventually(() => first.post.held.length > 0);
    tell(3, [first, second, third]);
    // Time for questions and answers, were they given.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([second.tenure.readyCount, second.recalled, third.recalled]).toEqual([0, [], []]);
    first.post.release();
    await allReady(first, second, third);
    expect([first.recalled, second.recalled, third.recalled]).toEqual([[], [], []]);
    expect([used(first, key), used(second, key), used(third, key)]).toEqual([undefined, 30, undefined]);
    expect(second.tenure.ready[slotOf(key)]).toBe(1);
  });

  test('both of its questions may arrive at once, at one that has not heard of the other yet', async () => {
    const [first, second, third] = membersOf(3) as [Member, Member, Member];
    tell(1, [first]);
    await allReady(first);
    first.recalled.length = 0;
    const [key] = keysOf(second.id, [first.id, second.id, third.id], 1) as [string];
    first.estate.perform({ kind: 'decide', charges: [charge(key, limit, 30)], mode: 'take' });
    second.post.hold('take');
    tell(2, [first, second]);
    tell(3, [first, second, third], { told: [second, third] });
    await eventually(() => second.post.held.filter((to) => to === first.id).length === 2);
    second.post.release();
    await eventually(() => second.tenure.readyCount > 0);
    tell(3, [first, second, third], { told: [first] });
    await allReady(first, second, third);
    expect([first.recalled, second.recalled, third.recalled]).toEqual([[], [], []]);
    expect([used(first, key), used(second, key), used(third, key)]).toEqual([undefined, 30, undefined]);
  });

  test('what was on its way to the one goes on to the other, whole', async () => {
    const [first, second, third] = membersOf(3) as [Member, Member, Member];
    tell(1, [first]);
    await allReady(first);
    first.recalled.length = 0;
    const ids = [first.id, second.id, third.id];
    const key = keysOf(third.id, ids, 200).find((one) => slotTable(ids.slice(0, 2)).owners[slotOf(one)] === second.id)!;
    first.estate.perform({ kind: 'decide', charges: [charge(key, limit, 30)], mode: 'take' });
    first.post.hold('page');
    tell(2, [first, second]);
    await eventually(() => first.post.held.length > 0);
    tell(3, [first, second, third]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    first.post.release();
    await allReady(first, second, third);
    expect([first.recalled, second.recalled, third.recalled]).toEqual([[], [], []]);
    expect([used(first, key), used(second, key), used(third, key)]).toEqual([undefined, undefined, 30]);
  });

  test('when the one leaves before it has taken them, they are the other’s from who had them', async () => {
    const [first, second, third] = membersOf(3) as [Member, Member, Member];
    tell(1, [first]);
    await allReady(first);
    first.recalled.length = 0;
    const [key] = keysOf(third.id, [first.id, third.id], 1) as [string];
    first.estate.perform({ kind: 'decide', charges: [charge(key, limit, 30)], mode: 'take' });
    first.post.hold('page');
    tell(2, [first, second]);
    await eventually(() => first.post.held.length > 0);
    tell(3, [first, second, third]);
    second.post.close();
    tell(4, [first, third]);
    first.post.release();
    await allReady(first, third);
    expect([first.recalled, third.recalled]).toEqual([[], []]);
    expect([used(first, key), used(third, key)]).toEqual([undefined, 30]);
  });
});

describe('who is asked for slots', () => {
  test('decides nothing of those that it sends, also when they came while it was asked', async () => {
    const [first, second, third] = membersOf(3) as [Member, Member, Member];
    tell(1, [first]);
    await allReady(first);
    const all = [first, second, third];
    const ids = all.map(({ id }) => id);
    const key = keysOf(second.id, ids, 200).find(
      (one) => slotTable([first.id, third.id]).owners[slotOf(one)] === third.id,
    )!;
    first.post.hold('page');
    tell(2, all);
    await eventually(() => first.post.held.includes(second.id));
    // It leaves again, and the last to know is itself.
    tell(3, all, { active: [first, third], told: [first, third] });
    second.post.hold('page');
    first.post.release();
    await eventually(() => second.post.held.includes(third.id));
    expect(second.tenure.ready[slotOf(key)]).toBe(0);
    second.post.release();
    await eventually(() => third.tenure.ready[slotOf(key)] === 1);
  });

  test('gives nothing by a view that is outdated when it could', async () => {
    const [first, second, third, fourth] = membersOf(4) as [Member, Member, Member, Member];
    tell(1, [first, fourth], { active: [first] });
    await allReady(first);
    first.recalled.length = 0;
    second.post.hold('take', fourth.id);
    tell(2, [first, second, fourth], { active: [first, second] });
    await eventually(() => second.tenure.readyCount > 0);
    const all = [first, second, third, fourth];
    // The third one comes and leaves; the second, which is still asking when it is asked, owns the slots again by then.
    tell(3, all, { active: [first, second, third], told: [third] });
    const { owners } = slotTable([first.id, second.id, third.id]);
    const asked = slotTable([first.id, second.id]).owners.findIndex(
      (owner, slot) => owner === second.id && owners[slot] === third.id,
    );
    await eventually(() => second.tenure.ready[asked] === 0);
    tell(4, all, { active: [first, second] });
    second.post.release();
    await eventually(() => third.tenure.isEmpty);
    await allReady(first, second);
    expect(all.flatMap(({ recalled }) => recalled)).toEqual([]);
  });

  test('asks for none under an earlier view, once it has said that it has none', async () => {
    const [first, second, third] = membersOf(3) as [Member, Member, Member];
    tell(1, [first]);
    await allReady(first);
    first.recalled.length = 0;
    const all = [first, second, third];
    const ids = all.map(({ id }) => id);
    const [key] = keysOf(third.id, ids, 200).filter(
      (one) => slotTable(ids.slice(0, 2)).owners[slotOf(one)] === second.id,
    ) as [string];
    // What the third one asks the first one arrives late.
    third.post.hold('take', first.id);
    tell(3, all, { told: [third] });
    await eventually(() => third.post.held.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    tell(2, [first, second]);
    await eventually(() => second.tenure.readyCount > 0);
    expect(second.tenure.ready[slotOf(key)]).toBe(0);
    tell(3, all, { told: [first, second] });
    third.post.release();
    await allReady(...all);
    expect(all.flatMap(({ recalled }) => recalled)).toEqual([]);
  });

  test('is not empty while something may still come', async () => {
    const [first, second] = membersOf(2) as [Member, Member];
    tell(1, [first]);
    await allReady(first);
    first.post.hold('page');
    tell(2, [first, second]);
    await eventually(() => first.post.held.length > 0);
    tell(3, [first, second], { active: [first] });
    expect([second.tenure.tokenCount, second.tenure.isEmpty]).toEqual([0, false]);
    first.post.release();
    await allReady(first);
    await eventually(() => second.tenure.isEmpty);
  });
});

describe('who takes slots over of which nobody has a token', () => {
  test('decides none before their states are there, whatever views come meanwhile', async () => {
    const [first, second] = membersOf(2, { isSlow: true }) as [Member, Member];
    tell(1, [first]);
    await eventually(() => first.recalled.length === SLOTS);
    tell(2, [first, second]);
    expect(first.tenure.readyCount).toBe(0);
    first.mayRecall();
    await allReady(first, second);
    expect(second.recalled).toEqual([]);
  });

  test('knows of which it has states that came without a token, when who sent them is gone', async () => {
    const [first, second] = membersOf(2) as [Member, Member];
    const key = keysOf(second.id, [first.id, second.id], 1)[0]!;
    first.estate.perform({ kind: 'decide', charges: [charge(key, limit, 30)], mode: 'take' });
    const [holdings] = first.estate.pages(new Set([slotOf(key)]), 1_000_000);
    second.post.hold('take');
    tell(1, [first, second], { told: [second] });
    await eventually(() => second.post.held.length > 0);
    const { nonce } = JSON.parse(second.post.texts[0]!) as { nonce: string };
    const page = { kind: 'page', nonce, number: 0, holdings, ranges: [] };
    expect(await second.tenure.receive(JSON.stringify(page))).toBe('{"isTaken":true}');
    tell(2, [second]);
    await allReady(second);
    expect([second.recalled.length, second.stale]).toEqual([SLOTS, [slotOf(key)]]);
    second.post.release();
  });
});
