/**
 * Members come and go in order, many at a time, while messages, answers and news of the members are late or asked for
 * again: no slot is ever decided by two, no state is taken for lost, and each unit that was taken is known in the end,
 * once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { policyOf, processClock } from '@plinth/limiter';
import { eventually, type SeededRandom, seededRandom, withNats } from '@plinth/testkit';
import { Estate } from './estate.ts';
import { type Delivery, Post } from './post.ts';
import { charge } from './replicas.fixture.ts';
import type { View } from './roster.ts';
import { SLOTS, slotOf, slotTable } from './slots.ts';
import { Tenure } from './tenure.ts';

const nats = withNats();
let connection: NatsConnection;
beforeAll(async () => {
  connection = await connect({ servers: nats.url });
});
afterAll(() => connection.close());

const RUNS = 24;
const AT_ONCE = 6;
const CHANGES = 14;
/** The longest that anything is late. Half of all is not. */
const LATE_MS = 16;
/** Nothing that is stuck ends later; on a machine that is busy with other work the rest may take some seconds. */
const PATIENCE_MS = 20_000;
const LIMIT = 1_000_000;
const quota = policyOf({ algorithm: 'strict', limit: LIMIT, windowMs: 86_400_000 });
const KEYS = Array.from({ length: 300 }, (_, at) => `moves:${at}`);

const late = async (random: SeededRandom): Promise<void> => {
  if (random.int(2) === 0) await sleep(random.int(LATE_MS));
};

/** Who asks waits for the answer, at times less than it may take. */
class LatePost extends Post {
  readonly #random: SeededRandom;

  constructor(id: string, random: SeededRandom) {
    super(connection, id);
    this.#random = random;
  }

  override async ask(to: { id: string; box: 'call' | 'slots' }, text: string, timeoutMs: number): Promise<Delivery> {
    await late(this.#random);
    const delivery = super.ask(to, text, this.#random.int(3) === 0 ? 1 + this.#random.int(LATE_MS) : timeoutMs);
    await late(this.#random);
    return delivery;
  }
}

class Member {
  readonly id: string;
  readonly tenure: Tenure;
  readonly estate: Estate;
  readonly post: LatePost;
  readonly #random: SeededRandom;
  recalled = 0;
  view: View | undefined;
  isLeaving = false;
  isGone = false;
  #news = Promise.resolve();

  constructor(id: string, random: SeededRandom) {
    this.id = id;
    this.#random = random;
    this.post = new LatePost(id, random);
    const nothing = () => undefined;
    this.estate = new Estate({ clock: processClock(), log: undefined, taken: nothing, dropped: nothing });
    this.tenure = new Tenure({
      me: id,
      post: this.post,
      estate: this.estate,
      log: undefined,
      nowMs: () => performance.now(),
      recall: async ({ length }) => {
        this.recalled += length;
        await late(random);
      },
      onGain: nothing,
    });
    this.post.open({ call: () => '', slots: (text) => this.tenure.receive(text) });
  }

  /** All hear of all views, in their order, and each when it does. */
  hear(view: View): void {
    this.#news = this.#news.then(async () => {
      await late(this.#random);
      if (this.isGone) return;
      this.view = view;
      this.tenure.adopt(view, slotTable(view.active));
    });
  }

  used(key: string): number {
    if ([...this.estate.ledger.exportKeys([key])].length === 0) return 0;
    return LIMIT - this.estate.ledger.decideOne({ key, policy: quota, cost: 0 }, 'look').remaining;
  }
}

class Run {
  readonly #random: SeededRandom;
  readonly #name: string;
  readonly everyone: Member[] = [];
  readonly taken = new Map<string, number>();
  /** What did not come to an end. */
  readonly stuck: string[] = [];
  #epoch = 0;

  constructor(name: string, random: SeededRandom) {
    this.#name = name;
    this.#random = random;
  }

  get present(): Member[] {
    return this.everyone.filter(({ isGone }) => !isGone);
  }

  get staying(): Member[] {
    return this.present.filter(({ isLeaving }) => !isLeaving);
  }

  join(): void {
    this.everyone.push(new Member(`${this.#name}-${this.everyone.length}`, this.#random));
    this.#say();
  }

  /** As `drain` does. */
  async leave(member: Member): Promise<void> {
    member.isLeaving = true;
    this.#say();
    const isAsked = () => member.view!.active.includes(member.id);
    const hasLeft = eventually(() => member.tenure.isEmpty && !isAsked(), { intervalMs: 2, timeoutMs: PATIENCE_MS });
    await hasLeft.catch(() => this.stuck.push(`${member.id} cannot leave`));
    member.isGone = true;
    this.#say();
  }

  #say(): void {
    const [members, active] = [this.present, this.staying].map((all) => all.map(({ id }) => id)) as [
      string[],
      string[],
    ];
    const view = { epoch: ++this.#epoch, members, active };
    for (const member of this.present) member.hear(view);
  }

  /** Takes a unit of each key whose slot somebody decides. @returns The most that decide one slot. */
  take(): number {
    let most = 0;
    for (const key of KEYS) {
      const deciding = this.everyone.filter(({ tenure }) => tenure.ready[slotOf(key)] === 1);
      most = Math.max(most, deciding.length);
      for (const { estate } of deciding) {
        estate.perform({ kind: 'decide', charges: [charge(key, quota)], mode: 'take' });
        this.taken.set(key, (this.taken.get(key) ?? 0) + 1);
      }
    }
    return most;
  }

  /** What each key counts, wherever it lies, beyond what was taken of it. */
  get difference(): [string, number][] {
    return KEYS.map((key): [string, number] => {
      const used = this.everyone.reduce((sum, member) => sum + member.used(key), 0);
      return [key, used - (this.taken.get(key) ?? 0)];
    }).filter(([, units]) => units !== 0);
  }
}

/** @returns What must not be, and how much was taken. */
async function movesOf(name: string, random: SeededRandom) {
  const run = new Run(name, random);
  run.join();
  await eventually(() => run.everyone[0]!.tenure.readyCount === SLOTS);
  const leaving: Promise<void>[] = [];
  let most = 0;
  for (let change = 0; change < CHANGES; change++) {
    // One that has not heard of itself is not a member yet.
    const mayLeave = run.staying.filter(({ id, view }) => view?.members.includes(id));
    if (run.staying.length > 5 || (random.int(2) === 0 && run.staying.length > 2 && mayLeave.length > 1)) {
      if (mayLeave.length > 1) leaving.push(run.leave(random.pick(mayLeave)));
    } else run.join();
    const untilMs = performance.now() + random.pick([0, 0, 5, 20, 60]);
    do {
      most = Math.max(most, run.take());
      await sleep(1);
    } while (performance.now() < untilMs);
  }
  await Promise.all(leaving);
  const count = (each: (tenure: Tenure) => number) => run.everyone.reduce((sum, { tenure }) => sum + each(tenure), 0);
  // Who has sent a token counts it until it knows that it came.
  const isWhole = () => [count((one) => one.readyCount), count((one) => one.tokenCount)].every((sum) => sum === SLOTS);
  await eventually(isWhole, { timeoutMs: PATIENCE_MS }).catch(() =>
    run.stuck.push(`${count((one) => one.readyCount)} slots are decided`),
  );
  run.take();
  for (const { post } of run.everyone) post.close();
  const lost = run.everyone.reduce((sum, { recalled }) => sum + recalled, 0) - SLOTS;
  return {
    wrong: { most, lost, difference: run.difference, stuck: run.stuck },
    members: run.everyone.length,
    units: [...run.taken.values()].reduce((sum, one) => sum + one, 0),
  };
}

test('members come and go in any order and at any pace: each slot has one who decides, each unit counts once', async () => {
  const random = seededRandom();
  let [members, units] = [0, 0];
  for (let number = 0; number < RUNS; number += AT_ONCE) {
    const names = Array.from({ length: AT_ONCE }, (_, at) => `m${random.seed}-${number + at}`);
    const runs = await Promise.all(names.map((name) => movesOf(name, random)));
    for (const run of runs) {
      expect(run.wrong).toEqual({ most: 1, lost: 0, difference: [], stuck: [] });
      members += run.members;
      units += run.units;
    }
  }
  process.stderr.write(
    `${RUNS} runs of ${CHANGES} changes: ${members} members, ${units} units, none lost or doubled\n`,
  );
}, 120_000);
