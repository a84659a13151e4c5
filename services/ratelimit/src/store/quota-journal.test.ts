import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { type Charge, Ledger, type PolicySpec, policyOf } from '@plinth/limiter';
import { eventually, withNats } from '@plinth/testkit';
import { slotOf } from './owners/slots.ts';
import { isDurable, openQuotaJournal, type QuotaJournal, type QuotaJournalOptions } from './quota-journal.ts';

const server = withNats();
const HOUR_MS = 3_600_000;
/** Noon of a day in the middle of a month. */
const NOON_MS = Date.UTC(2030, 5, 15, 12);
const STREAM = 'quotas';

const MONTHLY: PolicySpec = { algorithm: 'calendar', limit: 100, period: 'month' };
const TWO_HOURS: PolicySpec = { limit: 120, windowMs: 2 * HOUR_MS };

/** A process's memory, its clock begun at its own moment, and its journal. */
class Life {
  readonly ledger: Ledger;
  journal!: QuotaJournal;
  steadyUs: number;
  wallMs: number;

  constructor({ steadyUs, wallMs }: { steadyUs: number; wallMs: number }) {
    this.steadyUs = steadyUs;
    this.wallMs = wallMs;
    this.ledger = new Ledger({ clock: { nowUs: () => this.steadyUs, wallUs: () => this.wallMs * 1_000 } });
  }

  async open(nats: NatsConnection, more: Partial<QuotaJournalOptions> = {}): Promise<this> {
    const { ledger } = this;
    const wallMs = () => this.wallMs;
    this.journal = await openQuotaJournal({ nats, ledger, stream: STREAM, everyMs: 60_000, wallMs, ...more });
    return this;
  }

  take(charge: Charge): boolean {
    const { isAllowed } = this.ledger.decide([charge], 'take');
    this.journal.note(charge);
    return isAllowed;
  }

  left(charge: Charge): number {
    return this.ledger.decide([{ ...charge, cost: 0 }], 'look').outcomes[0]!.remaining;
  }
}

const charge = (key: string, spec: PolicySpec, cost = 1): Charge => ({ key, policy: policyOf(spec), cost });

describe('the journal of long quotas', () => {
  let nats: NatsConnection;
  let lives: Life[] = [];
  const born = async (at: { steadyUs: number; wallMs: number }, more: Partial<QuotaJournalOptions> = {}) => {
    const life = await new Life(at).open(nats, more);
    lives.push(life);
    return life;
  };
  const messages = async () => (await (await jetstreamManager(nats)).streams.info(STREAM)).state.messages;

  beforeEach(async () => {
    nats = await connect({ servers: server.url });
  });
  afterEach(async () => {
    for (const { journal } of lives) await journal.stop();
    lives = [];
    await (await jetstreamManager(nats)).streams.delete(STREAM).catch(() => {});
    await nats.close();
  });

  test('another life goes on where the one before stood at its last write', async () => {
    const first = await born({ steadyUs: 5e12, wallMs: NOON_MS });
    const [month, hours] = [charge('m', MONTHLY, 30), charge('h', TWO_HOURS, 40)];
    first.take(month);
    first.take(hours);
    await first.journal.flush();
    const second = await born({ steadyUs: 7, wallMs: NOON_MS + 1_000 });
    expect(await second.journal.replay()).toBe(2);
    expect(second.left(month)).toBe(70);
    expect(second.left(hours)).toBe(80);
  });

  test('time goes on while nobody lives, and does not go back with the clock', async () => {
    const first = await born({ steadyUs: 5e12, wallMs: NOON_MS });
    const [month, hours] = [charge('m', MONTHLY, 30), charge('h', TWO_HOURS, 120)];
    first.take(month);
    first.take(hours);
    await first.journal.flush();
    const later = await born({ steadyUs: 0, wallMs: NOON_MS + HOUR_MS });
    await later.journal.replay();
    expect(later.left(hours)).toBe(60);
    const earlier = await born({ steadyUs: 0, wallMs: NOON_MS - HOUR_MS });
    await earlier.journal.replay();
    expect(earlier.left(hours)).toBe(0);
    const nextMonth = await born({ steadyUs: 0, wallMs: Date.UTC(2030, 6, 1) });
    await nextMonth.journal.replay();
    expect(nextMonth.left(month)).toBe(100);
  });

  test('a thousand decisions on a key are one message, and the stream keeps one for each key', async () => {
    const life = await born({ steadyUs: 0, wallMs: NOON_MS });
    for (let round = 0; round < 3; round++) {
      for (let turn = 0; turn < 1_000; turn++) life.take(charge(`k${turn % 7}`, TWO_HOURS));
      await life.journal.flush();
    }
    expect(await messages()).toBe(7);
    expect(life.journal.metrics()).toMatch(/outcome="written"} 21$/m);
  });

  test('windows under an hour are not written, one of an hour is', async () => {
    expect(isDurable(policyOf({ limit: 1, windowMs: HOUR_MS - 1 }))).toBe(false);
    expect(isDurable(policyOf({ limit: 1, windowMs: HOUR_MS }))).toBe(true);
    expect(isDurable(policyOf(MONTHLY))).toBe(true);
    expect(isDurable(policyOf({ algorithm: 'concurrency', limit: 1, holdMs: 86_400_000 }))).toBe(false);
    const life = await born({ steadyUs: 0, wallMs: NOON_MS });
    life.take(charge('short', { limit: 5, windowMs: HOUR_MS - 1 }));
    await life.journal.flush();
    expect(await messages()).toBe(0);
  });

  test('what was reset stays reset', async () => {
    const life = await born({ steadyUs: 0, wallMs: NOON_MS });
    life.take(charge('r', MONTHLY, 100));
    await life.journal.flush();
    life.ledger.reset([charge('r', MONTHLY)]);
    life.journal.note(charge('r', MONTHLY));
    await life.journal.flush();
    const next = await born({ steadyUs: 0, wallMs: NOON_MS });
    expect(await next.journal.replay()).toBe(0);
    expect(next.left(charge('r', MONTHLY))).toBe(100);
  });

  test('a part of the slots is read alone, few or many of them, and reading twice counts once', async () => {
    const life = await born({ steadyUs: 0, wallMs: NOON_MS });
    const keys = Array.from({ length: 1_500 }, (_, at) => `key ${at} *.>`);
    for (const key of keys) life.take(charge(key, MONTHLY, 10));
    while (life.journal.lag > 0) await life.journal.flush();
    for (const count of [3, 700]) {
      const slots = Array.from({ length: count }, (_, at) => at);
      const wanted = keys.filter((key) => slotOf(key) < count);
      const heir = await born({ steadyUs: 0, wallMs: NOON_MS });
      expect(await heir.journal.replay(slots)).toBe(wanted.length);
      await heir.journal.replay(slots);
      for (const key of keys) expect(heir.left(charge(key, MONTHLY))).toBe(slotOf(key) < count ? 90 : 100);
    }
  });

  test('one that may not write any more writes nothing over what its heir wrote', async () => {
    let isOwner = true;
    const old = await born({ steadyUs: 0, wallMs: NOON_MS }, { mayWrite: () => isOwner });
    old.take(charge('k', MONTHLY, 10));
    await old.journal.flush();
    const heir = await born({ steadyUs: 0, wallMs: NOON_MS });
    await heir.journal.replay();
    heir.take(charge('k', MONTHLY, 50));
    await heir.journal.flush();
    // It was stopped in the middle of a write: it believed to be the owner when that began.
    let asked = 0;
    const late = await born({ steadyUs: 0, wallMs: NOON_MS }, { mayWrite: () => asked++ === 0 });
    late.take(charge('k', MONTHLY, 1));
    await late.journal.flush();
    isOwner = false;
    old.take(charge('k', MONTHLY, 1));
    await old.journal.flush();
    const third = await born({ steadyUs: 0, wallMs: NOON_MS });
    await third.journal.replay();
    expect(third.left(charge('k', MONTHLY))).toBe(40);
  });

  test('one to whom a key was handed over writes it without having read it', async () => {
    const old = await born({ steadyUs: 0, wallMs: NOON_MS });
    old.take(charge('k', MONTHLY, 10));
    await old.journal.flush();
    const heir = await born({ steadyUs: 0, wallMs: NOON_MS });
    heir.ledger.import(old.ledger.export());
    heir.take(charge('k', MONTHLY, 20));
    await heir.journal.flush();
    expect(heir.journal.lag).toBe(0);
    const third = await born({ steadyUs: 0, wallMs: NOON_MS });
    await third.journal.replay();
    expect(third.left(charge('k', MONTHLY))).toBe(70);
  });

  test('while NATS is away nothing is lost but time, and it is written when it is back', async () => {
    const life = await born({ steadyUs: 0, wallMs: NOON_MS });
    await server.kill();
    life.take(charge('k', MONTHLY, 10));
    const flushed = life.journal.flush();
    await server.start();
    await flushed;
    await eventually(
      async () => {
        await life.journal.flush();
        return life.journal.lag === 0;
      },
      { timeoutMs: 15_000 },
    );
    const next = await born({ steadyUs: 0, wallMs: NOON_MS });
    await next.journal.replay();
    expect(next.left(charge('k', MONTHLY))).toBe(90);
  });
});
