/**
 * Who waits, who is woken, who gets what. The store here is a double that only counts out jobs, for the sake of the
 * order of events; what a real lane does with the line is in `queues.test.ts`.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { LeaseAnswer, LeaseAsk } from '../store/lane.ts';
import type { LeasedJob } from './job.ts';
import { WaitingLine } from './waiting-line.ts';

const asJob = (id: number) => ({ id: String(id), token: String(id) }) as LeasedJob;
const idsOf = (jobs: readonly LeasedJob[]) => jobs.map(({ id }) => Number(id));
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** All that comes of what has been done so far, while no timer fires. */
async function settled(): Promise<void> {
  for (let steps = 0; steps < 50; steps++) await undefined;
}

class Counter {
  jobs: number[] = [];
  asks: string[] = [];
  givenBack: number[] = [];
  dues: number[] = [];
  fault: Error | undefined;
  nextInMs: number | undefined;
  waiters = 0;
  waitersMax = 100;
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();

  async lease({ max, worker }: LeaseAsk): Promise<LeaseAnswer> {
    this.asks.push(worker);
    const { fault, nextInMs } = this;
    const jobs = fault === undefined ? this.jobs.splice(0, max).map(asJob) : [];
    await this.gate;
    if (fault !== undefined) throw fault;
    return { jobs, nextInMs, isPaused: false };
  }
}

const lines: WaitingLine[] = [];

function opened(counter: Counter): WaitingLine {
  const line = new WaitingLine({
    lease: (ask) => counter.lease(ask),
    giveBack: (jobs) => counter.givenBack.push(...idsOf(jobs)),
    dueIn: (ms) => counter.dues.push(ms),
    admit: () => {
      if (counter.waiters >= counter.waitersMax) return false;
      counter.waiters += 1;
      return true;
    },
    leave: () => {
      counter.waiters -= 1;
    },
  });
  lines.push(line);
  return line;
}

const asking = (worker: string, max = 1): LeaseAsk => ({ worker, max, leaseMs: 30_000 });
const patient = (signal = new AbortController().signal, waitMs = 5_000) => ({ waitMs, signal });

afterEach(() => {
  for (const line of lines.splice(0)) line.close();
});

describe('a line', () => {
  test('gives what is there at once, and without patience an empty answer at once', async () => {
    const counter = new Counter();
    counter.jobs = [1];
    const line = opened(counter);
    expect(idsOf(await line.lease(asking('a'), patient()))).toEqual([1]);
    expect(await line.lease(asking('a'), patient(undefined, 0))).toEqual([]);
    expect(line.length).toBe(0);
  });

  test('serves in the order of arrival, one for each wake that brings one job', async () => {
    const counter = new Counter();
    const line = opened(counter);
    const served: string[] = [];
    const all = ['a', 'b', 'c'].map(async (worker) => {
      const jobs = await line.lease(asking(worker), patient());
      served.push(`${worker}${idsOf(jobs)[0]}`);
    });
    await turn();
    expect(line.length).toBe(3);
    for (const job of [1, 2, 3]) {
      counter.jobs.push(job);
      line.wake();
      await turn();
    }
    await Promise.all(all);
    expect(served).toEqual(['a1', 'b2', 'c3']);
  });

  test('who comes later does not overtake those who wait', async () => {
    const counter = new Counter();
    const line = opened(counter);
    const first = line.lease(asking('first'), patient());
    await turn();
    counter.jobs = [1, 2];
    const second = line.lease(asking('second'), patient());
    line.wake();
    expect(idsOf(await first)).toEqual([1]);
    expect(idsOf(await second)).toEqual([2]);
  });

  test('whoever brings a job may lease for the head of a dry line; nobody else asks for him meanwhile', async () => {
    const counter = new Counter();
    const line = opened(counter);
    expect(line.head()).toBeUndefined();
    const [first, second] = ['first', 'second'].map((worker) => line.lease(asking(worker), patient()));
    await turn();
    const asksBefore = counter.asks.length;
    const head = line.head()!;
    expect(head.ask.worker).toBe('first');
    expect(line.head()).toBeUndefined();
    head.answer({ jobs: [asJob(7)], nextInMs: undefined });
    expect(idsOf(await first!)).toEqual([7]);
    const next = line.head()!;
    expect(next.ask.worker).toBe('second');
    expect(counter.asks).toHaveLength(asksBefore);
    // A wake in the meantime is not lost, whatever came of the call.
    line.wake();
    counter.jobs = [8];
    next.fail(new Error('away'));
    expect(idsOf(await second!)).toEqual([8]);
  });

  test('a head that goes while somebody leases for it gives back what came', async () => {
    const counter = new Counter();
    const line = opened(counter);
    const gone = new AbortController();
    const one = line.lease(asking('one'), patient(gone.signal));
    await turn();
    const head = line.head()!;
    gone.abort();
    head.answer({ jobs: [asJob(7)], nextInMs: undefined });
    expect(await one).toEqual([]);
    expect(counter.givenBack).toEqual([7]);
  });

  test('one new job costs a few asks, however many wait', async () => {
    const counter = new Counter();
    const line = opened(counter);
    const all = Array.from({ length: 50 }, (_, at) => line.lease(asking(`w${at}`), patient()));
    await turn();
    counter.asks = [];
    counter.jobs = [1];
    line.wake();
    await turn();
    await turn();
    // The one that brings it, and as many as the window then lets go in vain.
    expect(counter.asks.length).toBeLessThanOrEqual(3);
    expect(idsOf(await all[0]!)).toEqual([1]);
    expect(line.length).toBe(49);
  });

  test('a wake that comes while an ask is on its way back empty is not lost', async () => {
    const counter = new Counter();
    const line = opened(counter);
    let open = () => {};
    const waiting = line.lease(asking('a'), patient());
    await settled();
    counter.gate = new Promise((resolve) => {
      open = resolve;
    });
    line.wake();
    counter.jobs = [7];
    line.wake();
    open();
    await settled();
    expect(line.length).toBe(0);
    expect(idsOf(await waiting)).toEqual([7]);
  });

  test('a wake between the first look and the standing in line is not lost', async () => {
    const counter = new Counter();
    const line = opened(counter);
    let open = () => {};
    counter.gate = new Promise((resolve) => {
      open = resolve;
    });
    const waiting = line.lease(asking('a'), patient());
    await settled();
    counter.jobs = [7];
    line.wake();
    open();
    await settled();
    expect(counter.jobs).toEqual([]);
    expect(idsOf(await waiting)).toEqual([7]);
  });

  test('finds within about a second what no wake has told of', async () => {
    const counter = new Counter();
    const line = opened(counter);
    const waiting = line.lease(asking('a'), patient());
    await turn();
    counter.jobs = [3];
    const startedAt = Date.now();
    expect(idsOf(await waiting)).toEqual([3]);
    expect(Date.now() - startedAt).toBeLessThan(4_000);
  });

  test('passes on when something may be due', async () => {
    const counter = new Counter();
    counter.nextInMs = 40;
    const line = opened(counter);
    void line.lease(asking('a'), patient());
    await turn();
    expect(counter.dues).toContain(40);
  });
});

describe('whoever goes', () => {
  test('leaves no lease behind when his jobs arrive after he has gone, and others get the next', async () => {
    const counter = new Counter();
    const line = opened(counter);
    const caller = new AbortController();
    const gone = line.lease(asking('gone'), patient(caller.signal));
    await turn();
    const stays = line.lease(asking('stays'), patient());
    let open = () => {};
    counter.gate = new Promise((resolve) => {
      open = resolve;
    });
    counter.jobs = [1, 2];
    line.wake();
    caller.abort();
    open();
    expect(await gone).toEqual([]);
    expect(counter.givenBack).toEqual([1]);
    expect(idsOf(await stays)).toEqual([2]);
  });

  test('also when he went during his very first look', async () => {
    const counter = new Counter();
    const line = opened(counter);
    counter.jobs = [1];
    const caller = new AbortController();
    const gone = line.lease(asking('gone'), patient(caller.signal));
    caller.abort();
    expect(await gone).toEqual([]);
    expect(counter.givenBack).toEqual([1]);
    expect(line.length).toBe(0);
  });

  test('gives up his place', async () => {
    const counter = new Counter();
    const line = opened(counter);
    const caller = new AbortController();
    const gone = line.lease(asking('gone'), patient(caller.signal));
    await turn();
    expect(counter.waiters).toBe(1);
    caller.abort();
    expect(await gone).toEqual([]);
    expect([line.length, counter.waiters]).toEqual([0, 0]);
  });
});

describe('the end of patience', () => {
  test('is an empty answer, not before its time', async () => {
    const line = opened(new Counter());
    const startedAt = Date.now();
    expect(await line.lease(asking('a'), patient(undefined, 60))).toEqual([]);
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(58);
  });

  test('waits for an ask that is under way, whose jobs it gets', async () => {
    const counter = new Counter();
    const line = opened(counter);
    const waiting = line.lease(asking('a'), patient(undefined, 30));
    await settled();
    let open = () => {};
    counter.gate = new Promise((resolve) => {
      open = resolve;
    });
    counter.jobs = [5];
    line.wake();
    await new Promise((resolve) => setTimeout(resolve, 60));
    open();
    expect(idsOf(await waiting)).toEqual([5]);
    expect(counter.givenBack).toEqual([]);
  });

  test('while the store is away it says so instead of an empty answer', async () => {
    const counter = new Counter();
    counter.fault = new Error('Redis is reconnecting');
    const line = opened(counter);
    await expect(line.lease(asking('a'), patient(undefined, 0))).rejects.toThrow('reconnecting');
    const waiting = line.lease(asking('a'), patient(undefined, 300));
    await turn();
    line.wake();
    await expect(waiting).rejects.toThrow('reconnecting');
  });

  test('a store that comes back in time is only waited for', async () => {
    const counter = new Counter();
    counter.fault = new Error('Redis is reconnecting');
    const line = opened(counter);
    const waiting = line.lease(asking('a'), patient());
    await turn();
    counter.fault = undefined;
    counter.jobs = [1];
    line.wake();
    expect(idsOf(await waiting)).toEqual([1]);
  });
});

describe('bounds', () => {
  test('who is one too many is told so, and a place that is left is free again', async () => {
    const counter = new Counter();
    counter.waitersMax = 2;
    const line = opened(counter);
    const caller = new AbortController();
    const first = line.lease(asking('a'), patient(caller.signal));
    const second = line.lease(asking('b'), patient());
    await turn();
    await expect(line.lease(asking('c'), patient())).rejects.toMatchObject({ code: 'overloaded' });
    caller.abort();
    await first;
    const third = line.lease(asking('c'), patient());
    counter.jobs = [1, 2];
    line.wake();
    expect(idsOf(await second)).toEqual([1]);
    expect(idsOf(await third)).toEqual([2]);
  });

  test('a closed line answers all at once, and later ones after a moment', async () => {
    const line = opened(new Counter());
    const waiting = [line.lease(asking('a'), patient()), line.lease(asking('b'), patient())];
    await turn();
    line.close();
    expect(await Promise.all(waiting)).toEqual([[], []]);
    expect(await line.lease(asking('c'), patient())).toEqual([]);
  });
});
