import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { eventually } from '@plinth/testkit';
import { type EngineUnderTest, openEngine } from './engine.fixture.ts';
import { Housekeeper } from './housekeeper.ts';
import { rowCount, settingsOf } from './machine.fixture.ts';
import type { Machine } from './machine.ts';
import { Recency } from './recency.ts';
import { ScriptedLog } from './scripted-log.fixture.ts';

const opened: EngineUnderTest[] = [];
const open = async (...some: Parameters<typeof openEngine>) => {
  const test = await openEngine(...some);
  opened.push(test);
  return test;
};
afterEach(async () => {
  for (const { engine } of opened.splice(0)) await engine.stop().catch(() => {});
});

describe('expiry', () => {
  it('comes at its time without any request', async () => {
    const test = await open();
    await test.define();
    await test.put('a', 'v', { life: { ttlMs: 1_000 } });
    test.clock.advance(999);
    await sleep(250);
    expect(test.engine.bucket(1)!.keys).toBe(1);
    test.clock.advance(1);
    const woken = new Promise<void>((resolve) => test.engine.hub.watch(1, resolve));
    await woken;
    expect(test.engine.bucket(1)!.keys).toBe(0);
  });

  it('of more entries than one record sweeps goes on without a pause', async () => {
    let left = 60;
    const machine = { nextDueMs: () => (left > 0 ? 0 : Infinity), buckets: new Map() } as unknown as Machine;
    const submit = async () => {
      left -= 1;
      return { revision: 0, results: [] };
    };
    const housekeeper = new Housekeeper({ machine, submit, now: () => 1, waiting: () => 0, report: () => {} });
    housekeeper.start();
    const start = performance.now();
    await eventually(() => left === 0);
    // At one record in 50 ms it would be three seconds.
    expect(performance.now() - start).toBeLessThan(1_500);
    housekeeper.stop();
  });

  it('writes nothing while nothing is due', async () => {
    const log = new ScriptedLog();
    const test = await open({ log });
    await test.define();
    await test.put('a', 'v', { life: { ttlMs: 60_000 } });
    await sleep(300);
    expect(log.records).toHaveLength(2);
  });

  it('that the disk refuses is reported once, and tried again', async () => {
    const log = new ScriptedLog();
    const test = await open({ log });
    await test.define();
    await test.put('a', 'v', { life: { ttlMs: 100 } });
    log.failures.push('ENOSPC', 'ENOSPC');
    test.clock.advance(100);
    await eventually(() => test.engine.bucket(1)!.keys === 0);
    expect(test.reports).toEqual([expect.stringMatching(/^housekeeping: .*ENOSPC/)]);
  });
});

describe('the past', () => {
  const HISTORY_MS = 10_000;

  it('is forgotten when it is older than the bucket keeps it, and not earlier', async () => {
    const test = await open();
    await test.define({ historyMs: HISTORY_MS });
    const bucket = test.engine.bucket(1)!;
    await test.put('a', '1');
    test.clock.advance(1_000);
    await test.put('a', '2');
    await test.put('a', '3');
    test.clock.advance(HISTORY_MS - 1_001);
    await sleep(1_200);
    expect(bucket).toMatchObject({ compactedRevision: 0, pastVersions: 2 });
    test.clock.advance(1_001);
    await eventually(() => expect(bucket).toMatchObject({ compactedRevision: 3, pastVersions: 0 }));
    expect(test.read('a')).toBe('3');
    expect(test.reports).toEqual([]);
  });

  it('is forgotten however young when there are too many revisions', async () => {
    const test = await open();
    await test.define({ historyRevisionsMax: 1_000 });
    const put = { do: 'operation', bucket: 1, operation: { op: 'put', key: 'a', value: Buffer.from('v') } } as const;
    await test.engine.submitEach(Array.from({ length: 1_801 }, () => put));
    await eventually(() => test.engine.bucket(1)!.pastVersions <= 1_000);
    expect(test.engine.bucket(1)!.pastVersions).toBeGreaterThan(0);
  });

  it('that was compacted by hand is no trouble, and nothing is written for a bucket that rests', async () => {
    const log = new ScriptedLog();
    const test = await open({ log });
    await test.define({ historyMs: HISTORY_MS });
    await test.put('a', '1');
    await test.engine.submit({ do: 'reserve', revision: 500 });
    await test.engine.submit({ do: 'compact', bucket: 1, revision: 1_000, limit: 10 });
    const records = log.records.length;
    await sleep(1_200);
    test.clock.advance(HISTORY_MS * 10);
    await sleep(1_200);
    expect(test.reports).toEqual([]);
    expect(log.records).toHaveLength(records);
  });

  it('that a restore made unreadable is removed', async () => {
    const test = await open();
    await test.define();
    await test.put('a', '1');
    await test.put('a', '2');
    await test.engine.submit({ do: 'reserve', revision: 100, forgetPast: true });
    await eventually(() => test.engine.bucket(1)!.pastVersions === 0);
    expect(test.read('a')).toBe('2');
  });
});

describe('a dropped bucket', () => {
  it('is swept until nothing of it is left', async () => {
    const test = await open();
    await test.define();
    const put = (at: number) => ({ op: 'put', key: `k${at}`, value: Buffer.from('v') }) as const;
    await test.engine.submitEach(
      Array.from({ length: 3_000 }, (_, at) => ({ do: 'operation', bucket: 1, operation: put(at) }) as const),
    );
    await test.engine.submit({ do: 'dropBucket', bucket: 1 });
    expect(test.engine.bucket(1)).toBeUndefined();
    await eventually(() => test.engine.machine.buckets.size === 0);
    expect(rowCount(test.engine.store, 'records')).toBe(0);
  });
});

describe('a cache that is too full', () => {
  it('makes room without any request', async () => {
    const test = await open({ recency: new Recency() });
    await test.define({ mode: 'cache', bytesMax: 100_000 });
    for (const key of 'abcdef') await test.put(key, 'x'.repeat(1_000));
    const settings = settingsOf({ mode: 'cache', bytesMax: 4_000 });
    await test.engine.submit({ do: 'defineBucket', name: 'test', settings });
    await eventually(() => test.engine.bucket(1)!.keys === 2);
  });
});

describe('housekeeping', () => {
  it('ends with the engine', async () => {
    const test = await openEngine();
    await test.define();
    await test.put('a', 'v', { life: { ttlMs: 100 } });
    await test.engine.stop();
    test.clock.advance(1_000);
    await sleep(250);
    expect(test.engine.bucket(1)!.keys).toBe(1);
    expect(test.reports).toEqual([]);
    await expect(test.put('a')).rejects.toBeInstanceOf(Problem);
  });
});
