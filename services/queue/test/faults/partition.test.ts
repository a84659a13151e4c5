/** A worker is away for longer than its lease: what it says afterwards is not heard. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { readLedger } from './ledger.ts';
import { LIMIT_MS, tell } from './sizes.ts';
import { World } from './world.ts';

const LEASE_MS = 3_000;
/** Of those who do not lose them. */
const KEPT_LEASE_MS = 60_000;

test(
  'an acknowledgement with the token of a lease that ended is refused, and changes nothing for its successor',
  async () => {
    const { api } = await World.open();
    const [added] = await api.enqueue([{ name: 'work', data: { number: 0 } }]);
    const id = (added as { id: string }).id;
    const [first] = await api.lease({ max: 1, leaseMs: LEASE_MS, worker: 'first' });
    const [second] = await api.lease({ max: 1, leaseMs: KEPT_LEASE_MS, worker: 'second', waitMs: 20_000 });
    expect(second).toMatchObject({ id, attempt: 1, stalls: 1 });
    expect(BigInt(second!.token) > BigInt(first!.token)).toBe(true);
    await expect(api.ack(id, first!.token)).rejects.toMatchObject({ status: 409, code: 'lease_lost' });
    const { settled } = await api.next({ fails: [{ id, token: first!.token, error: { message: 'late' } }], max: 1 });
    expect(settled).toMatchObject([{ id, problem: { code: 'lease_lost' } }]);
    expect(await api.job(id)).toMatchObject({ state: 'leased', stalls: 1 });
    await api.ack(id, second!.token);
    expect(await api.job(id)).toMatchObject({ state: 'completed' });
    await expect(api.ack(id, first!.token)).rejects.toMatchObject({ status: 409, code: 'lease_lost' });
  },
  LIMIT_MS,
);

test(
  'a worker process frozen for longer than its leases loses them: others do its jobs, and it does not complete them',
  async () => {
    const world = await World.open({ leaseMs: LEASE_MS, concurrency: 5 });
    const frozen = await world.startFleet(1);
    await world.enqueue(5, () => ({ tookMs: LEASE_MS }));
    const { api } = world;
    await eventually(async () => expect((await api.stats()).counts.leased).toBe(5), { timeoutMs: 20_000 });
    const [{ child, pid, lines }] = frozen.workers as [(typeof frozen.workers)[0]];
    child.kill('SIGSTOP');
    await eventually(() => threadStates(pid).every((state) => state === 'T'));
    await sleep(LEASE_MS);
    const heirs = await world.startFleet(1, KEPT_LEASE_MS);
    await world.untilEnded(5, 60_000);
    const byHeir = readLedger(world.ledgerDir).filter((entry) => entry.pid !== pid);
    expect(byHeir.map(({ number }) => number).sort()).toEqual([0, 1, 2, 3, 4]);
    child.kill('SIGCONT');
    await eventually(() => expect(lines.filter((line) => line.includes('"lost"')).length).toBe(5), {
      timeoutMs: 30_000,
    });
    // Its books may say that it did them as well: fencing tokens are how a store of effects would tell.
    const late = readLedger(world.ledgerDir).filter((entry) => entry.pid === pid);
    for (const { number, token } of late) {
      const heir = byHeir.find((entry) => entry.number === number)!;
      expect(BigInt(heir.token) > BigInt(token)).toBe(true);
    }
    const { totals, counts } = await api.stats();
    tell('partition', { jobs: 5, stalled: totals.stalled, completed: counts.completed, 'done late': late.length });
    expect({ completed: totals.completed, stalled: totals.stalled }).toEqual({ completed: 5, stalled: 5 });
    await world.assertWhole();
    await Promise.all([frozen.stop(), heirs.stop()]);
  },
  LIMIT_MS,
);

/** Of Linux: `T` is a thread that is stopped. */
function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((task) => {
    const text = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3);
  });
}
