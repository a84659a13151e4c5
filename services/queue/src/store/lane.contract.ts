/**
 * The battery that every lane passes, in real time on a real store. Tests tell themselves apart by their queues; what
 * has to be waited for is 150 ms long or a little more, and seconds where a call has to come before its end; nothing that
 * must not happen yet is less than 10 s away, so that a slow machine makes the battery slower and not redder.
 */
import { afterAll, beforeAll, describe } from '@jest/globals';
import type { Lane } from './lane.ts';
import { type Excuse, LaneBench } from './lane-bench.contract.ts';
import { cancelsWork } from './lane-cancel.contract.ts';
import { controls } from './lane-control.contract.ts';
import { deduplicates } from './lane-dedup.contract.ts';
import { expires, forgets, retries } from './lane-ends.contract.ts';
import { flows } from './lane-flows.contract.ts';
import { leases, orders } from './lane-leases.contract.ts';
import { limits, sharesOut } from './lane-limits.contract.ts';
import { repeats } from './lane-once.contract.ts';
import { stalls } from './lane-stalls.contract.ts';
import { views } from './lane-views.contract.ts';

export interface LaneContractOptions {
  /** What this lane cannot promise, and only that. */
  readonly excuses?: readonly Excuse[];
  /** `false`: the lane has no `addFlow`. */
  readonly hasFlows?: boolean;
}

/** @param open - Called twice for the same, empty store: the two are replicas. The battery stops both. */
export function laneContract(name: string, open: () => Promise<Lane>, options: LaneContractOptions = {}): void {
  describe(`${name} keeps the contract of lanes`, () => {
    const bench = new LaneBench(options.excuses ?? []);
    beforeAll(() => bench.use(open), 60_000);
    afterAll(() => bench.stop());
    describe('order', () => orders(bench));
    describe('leases', () => leases(bench));
    describe('stalls', () => stalls(bench));
    describe('retries', () => retries(bench));
    describe('times', () => expires(bench));
    describe('retention', () => forgets(bench));
    describe('dedup', () => deduplicates(bench));
    describe('idempotency keys', () => repeats(bench));
    describe('cancel', () => cancelsWork(bench));
    describe('control', () => controls(bench));
    describe('views', () => views(bench));
    describe('limits', () => limits(bench));
    describe('groups', () => sharesOut(bench));
    if (options.hasFlows ?? true) describe('flows', () => flows(bench));
  });
}
