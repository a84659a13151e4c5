import { expect, test } from '@jest/globals';
import { Lease } from './lease.ts';

function leaseAt(nowMs: number) {
  const clocks = { now: nowMs, wall: 1e12 + nowMs };
  const lease = new Lease({ nowMs: () => clocks.now, wallMs: () => clocks.wall }, 1_800);
  const pass = (ms: number) => {
    clocks.now += ms;
    clocks.wall += ms;
  };
  return { lease, clocks, pass };
}

test('before the first heartbeat is stored there is no lease', () => {
  expect(leaseAt(0).lease.isHeld).toBe(false);
});

test('it ends to the millisecond, counted from before the heartbeat was sent', () => {
  const { lease, pass } = leaseAt(5);
  const sent = lease.moment();
  pass(700);
  lease.renew(sent);
  pass(1_099);
  expect(lease.isHeld).toBe(true);
  pass(1);
  expect(lease.isHeld).toBe(false);
});

test('an answer to an older heartbeat takes nothing away', () => {
  const { lease, pass } = leaseAt(0);
  const older = lease.moment();
  pass(600);
  lease.renew(lease.moment());
  lease.renew(older);
  pass(1_799);
  expect(lease.isHeld).toBe(true);
});

test('it is over when it is ended, and begins again with the next heartbeat', () => {
  const { lease } = leaseAt(0);
  lease.renew(lease.moment());
  lease.end();
  expect(lease.isHeld).toBe(false);
  lease.renew(lease.moment());
  expect(lease.isHeld).toBe(true);
});

test('a machine that slept with its steady clock standing still has no lease when it wakes', () => {
  const { lease, clocks } = leaseAt(0);
  lease.renew(lease.moment());
  clocks.wall += 1_799;
  expect(lease.isHeld).toBe(true);
  clocks.wall += 1;
  expect(lease.isHeld).toBe(false);
});

test('a wall clock that is set back prolongs nothing', () => {
  const { lease, clocks } = leaseAt(0);
  lease.renew(lease.moment());
  clocks.wall -= 3_600_000;
  clocks.now += 1_800;
  expect(lease.isHeld).toBe(false);
});
