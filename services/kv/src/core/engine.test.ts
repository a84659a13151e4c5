import { cp } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { eventually, seededRandom, tempDir } from '@plinth/testkit';
import { openMemoryStore } from '../store/memory-store.ts';
import type { Store } from '../store/store.ts';
import { type EngineUnderTest, openEngine, openOnDisk } from './engine.fixture.ts';
import { assertSound, rowsOf } from './machine.fixture.ts';
import { RandomCommands } from './random-commands.fixture.ts';
import { Recency } from './recency.ts';
import { diskError, ScriptedLog } from './scripted-log.fixture.ts';

const codeOf = (error: unknown): string | undefined => (error instanceof Problem ? error.code : String(error));

const opened: EngineUnderTest[] = [];
const keep = <T extends EngineUnderTest>(test: T): T => {
  opened.push(test);
  return test;
};
afterEach(async () => {
  for (const { engine } of opened.splice(0)) await engine.stop().catch(() => {});
});

describe('an engine', () => {
  it('answers a write when its record is in the log, and reads it at once', async () => {
    const log = new ScriptedLog();
    const test = keep(await openEngine({ log }));
    await test.define();
    const done = await test.put('a', 'hello');
    expect(done).toMatchObject({ revision: 1, results: [{ status: 201 }] });
    expect(log.records).toHaveLength(2);
    expect(test.read('a')).toBe('hello');
    expect(test.engine.view()).toEqual({ revision: 1, timeMs: test.clock.now() });
  });

  it('throws a refusal of one command, and gives each of several its own outcome', async () => {
    const test = keep(await openEngine());
    await test.define();
    await expect(test.run({ op: 'touch', key: 'a' }).catch(codeOf)).resolves.toBe('key_not_found');
    const operation = (op: 'get' | 'touch') => ({ do: 'operation', bucket: 1, operation: { op, key: 'a' } }) as const;
    const [got, touched] = await test.engine.submitEach([operation('get'), operation('touch')]);
    expect(got).toMatchObject({ results: [{ status: 404 }] });
    expect(codeOf(touched)).toBe('key_not_found');
  });

  it('does not show an entry from its deadline on, though nobody wrote since', async () => {
    const test = keep(await openEngine());
    await test.define();
    await test.put('a', 'v', { life: { ttlMs: 1_000 } });
    test.clock.advance(999);
    expect(test.read('a')).toBe('v');
    test.clock.advance(1);
    expect(test.read('a')).toBeUndefined();
  });

  it('shows nothing older than its last record when the clock jumps back', async () => {
    const test = keep(await openEngine());
    await test.define();
    const start = test.clock.now();
    test.clock.advance(-60_000);
    expect(test.engine.view().timeMs).toBe(start);
  });

  it('wakes the watchers of a bucket that changed, and no others', async () => {
    const test = keep(await openEngine());
    await test.define();
    await test.define({}, 'other');
    const woken: number[] = [];
    const stop = test.engine.hub.watch(1, () => woken.push(1));
    test.engine.hub.watch(2, () => woken.push(2));
    await test.put('a');
    expect(woken).toEqual([1]);
    await test.run({ op: 'delete', key: 'none' });
    expect(woken).toEqual([1]);
    stop();
    await test.put('a');
    expect([woken, test.engine.hub.count]).toEqual([[1], 1]);
    test.engine.hub.wakeAll();
    expect(woken).toEqual([1, 2]);
  });

  it('counts a read as use where entries are evicted', async () => {
    const test = keep(await openEngine({ recency: new Recency() }));
    await test.define({ mode: 'cache', bytesMax: 1_700 });
    await test.put('a', 'x'.repeat(100));
    await test.put('b', 'x'.repeat(100));
    test.read('a');
    await test.put('c', 'x'.repeat(100));
    await eventually(() => test.engine.bucket(1)!.keys === 2);
    expect(['a', 'b', 'c'].filter((key) => test.read(key))).toEqual(['a', 'c']);
  });
});

describe('a restart', () => {
  it('finds everything again: from the log alone, and from the store and the rest of the log', async () => {
    const folder = tempDir('engine');
    for (const round of [0, 1, 2]) {
      const test = await openOnDisk(folder);
      if (round === 0) await test.define();
      await test.put(`k${round}`, `v${round}`);
      if (round === 1) await test.engine.checkpoint();
      await test.put(`after ${round}`);
      // No checkpoint at the end: as after a crash.
      const copy = tempDir('engine-copy');
      await cp(folder, copy, { recursive: true });
      await test.engine.stop();
      const again = keep(await openOnDisk(copy));
      expect([again.read(`k${round}`), again.read(`after ${round}`)]).toEqual([`v${round}`, 'v']);
      expect(again.engine.view().revision).toBe(2 * (round + 1));
    }
  });

  it('after a random history gives the same rows, wherever the last checkpoint was', async () => {
    const random = seededRandom();
    const commands = new RandomCommands(random);
    const folder = tempDir('engine');
    const test = await openOnDisk(folder);
    const rounds = 300;
    const lastCheckpoint = random.int(rounds);
    for (let round = 0; round < rounds; round++) {
      if (round === lastCheckpoint) await test.engine.checkpoint();
      test.clock.advance(random.int(300));
      await test.engine.submitEach(Array.from({ length: 1 + random.int(4) }, () => commands.command()));
    }
    const rows = rowsOf(test.engine.store);
    const copy = tempDir('engine-copy');
    await cp(folder, copy, { recursive: true });
    await test.engine.stop();
    const again = keep(await openOnDisk(copy, {}, { clock: test.clock }));
    assertSound(again.engine.machine);
    expect(rowsOf(again.engine.store)).toEqual(rows);
  });

  it('replays exactly what the store lacks', async () => {
    const log = new ScriptedLog();
    const store = openMemoryStore();
    const first = await openEngine({ log, store });
    await first.define();
    await first.put('a');
    await first.engine.stop();
    const position = store.position;
    const second = keep(await openEngine({ log: Object.assign(new ScriptedLog(), { records: log.records }), store }));
    expect([store.position, second.engine.view().revision]).toEqual([position, 1]);
    const third = keep(await openEngine({ log: Object.assign(new ScriptedLog(), { records: log.records }) }));
    expect(third.engine.view().revision).toBe(1);
    expect(rowsOf(third.engine.store)).toEqual(rowsOf(store));
  });
});

describe('stopping', () => {
  it('refuses new writes, ends those under way, and closes log and store', async () => {
    const log = new ScriptedLog();
    const test = await openEngine({ log });
    await test.define();
    log.hold();
    const underWay = test.put('a');
    await eventually(() => log.isBusy);
    const waiting = test.put('b');
    const stopped = test.engine.stop();
    await expect(test.put('c').catch(codeOf)).resolves.toBe('stopping');
    expect(test.engine.notReady()).toBe('the service is stopping');
    log.release();
    await Promise.all([underWay, waiting, stopped]);
    expect([log.isClosed, log.flushes]).toEqual([true, 1]);
  });

  it('closes everything though the disk refuses to flush', async () => {
    const log = new ScriptedLog();
    const test = await openEngine({ log });
    log.flushFailure = 'EIO';
    await test.engine.stop();
    expect(log.isClosed).toBe(true);
    expect(test.reports).toEqual([expect.stringMatching(/^last flush: .*EIO/)]);
  });

  it('answers the reason it is given', async () => {
    const test = await openEngine();
    await test.engine.stop(new Problem('unavailable', 'a restore goes on'));
    await expect(test.put('a').catch(codeOf)).resolves.toBe('unavailable');
  });
});

describe('write-back', () => {
  it('flushes within flushMs of a write, once for many', async () => {
    const log = new ScriptedLog();
    const test = keep(await openEngine({ log, flushesLater: true }));
    await test.define({ mode: 'write-back', flushMs: 400 });
    await eventually(() => log.flushes === 1);
    const start = performance.now();
    for (let round = 0; round < 5; round++) await test.put('a');
    expect(log.flushes).toBe(1);
    await eventually(() => log.flushes === 2, { intervalMs: 5 });
    expect(performance.now() - start).toBeGreaterThan(350);
    expect(performance.now() - start).toBeLessThan(2_000);
    await sleep(600);
    expect(log.flushes).toBe(2);
  });

  it('takes nothing more when a flush fails, for nobody knows what is on the disk', async () => {
    const log = new ScriptedLog();
    const test = keep(await openEngine({ log, flushesLater: true }));
    log.flushFailure = 'EIO';
    await test.define({ mode: 'write-back', flushMs: 10 });
    await eventually(() => test.engine.notReady() !== undefined);
    await expect(test.put('a').catch(codeOf)).resolves.toBe('unavailable');
    expect(test.reports).toEqual([expect.stringMatching(/^flush: /)]);
  });

  it('does not flush in the background where each write has synced already', async () => {
    const log = new ScriptedLog();
    const test = keep(await openEngine({ log }));
    await test.define({ flushMs: 10 });
    await sleep(50);
    expect(log.flushes).toBe(0);
  });
});

/** A store whose checkpoints do what the test says. */
class ScriptedStore {
  readonly store: Store;
  failure: string | undefined;
  checkpoints = 0;
  pendingBytes = 0;
  #gate: Promise<void> | undefined;
  #open: () => void = () => {};

  constructor() {
    const scripted = this;
    this.store = new Proxy(openMemoryStore(), {
      get(target, name) {
        if (name === 'pendingBytes') return scripted.pendingBytes;
        if (name === 'checkpoint') return () => scripted.#checkpoint(target);
        const member = Reflect.get(target, name, target) as unknown;
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
  }

  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  async #checkpoint(target: Store): Promise<number> {
    this.checkpoints += 1;
    const written = this.pendingBytes;
    await this.#gate;
    if (this.failure !== undefined) throw diskError(this.failure);
    this.pendingBytes -= written;
    return target.position;
  }
}

describe('checkpoints', () => {
  const LIMITS = { bytes: 1_000, intervalMs: 30, bytesMax: 5_000 };
  const open = async (checkpoint = LIMITS) => {
    const disk = new ScriptedStore();
    const log = new ScriptedLog();
    const test = keep(await openEngine({ store: disk.store, log, checkpoint }));
    await test.define();
    return { ...test, disk, log };
  };

  it('are made when enough has gathered, and let the log go as far', async () => {
    const test = await open({ ...LIMITS, intervalMs: 60_000 });
    test.disk.pendingBytes = 999;
    await test.put('a');
    await sleep(20);
    expect(test.disk.checkpoints).toBe(0);
    test.disk.pendingBytes = 1_000;
    await test.put('a');
    await eventually(() => expect(test.log.trims).toEqual([test.engine.store.position]));
    expect(test.disk.checkpoints).toBe(1);
  });

  it('are made at the latest some time after the first change, however little there is', async () => {
    const test = await open();
    test.disk.pendingBytes = 1;
    await test.put('a');
    await eventually(() => test.disk.checkpoints === 1);
    await sleep(80);
    expect(test.disk.checkpoints).toBe(1);
  });

  it('are made of what a restart has replayed, though nobody writes', async () => {
    const { log } = await open();
    const disk = new ScriptedStore();
    disk.pendingBytes = 1;
    keep(await openEngine({ store: disk.store, log, checkpoint: LIMITS }));
    await eventually(() => disk.checkpoints === 1);
  });

  it('take what came during the last one in their turn', async () => {
    const test = await open();
    test.disk.hold();
    test.disk.pendingBytes = 1_000;
    await test.put('a');
    test.disk.pendingBytes = 2_500;
    await test.put('b');
    test.disk.release();
    await eventually(() => test.disk.pendingBytes === 0);
    expect(test.disk.checkpoints).toBe(2);
  });

  it('that fail are reported once and tried again, while writes go on', async () => {
    const test = await open();
    test.disk.failure = 'ENOSPC';
    test.disk.pendingBytes = 1_000;
    await test.put('a');
    await eventually(() => expect(test.reports).toHaveLength(1));
    await test.put('b');
    await eventually(() => test.disk.checkpoints === 2);
    expect(test.reports).toHaveLength(1);
    expect(test.log.trims).toEqual([]);
    test.disk.failure = undefined;
    await eventually(() => test.disk.pendingBytes === 0);
    expect(test.engine.notReady()).toBeUndefined();
  });

  it('that fail until too much has gathered stop writes with the disk’s reason, and only until it recovers', async () => {
    const test = await open();
    test.disk.failure = 'ENOSPC';
    test.disk.pendingBytes = 5_000;
    await test.put('a');
    await eventually(() => expect(test.reports).toHaveLength(1));
    await test.put('b');
    test.disk.pendingBytes = 5_001;
    await test.put('c');
    await expect(test.put('d').catch(codeOf)).resolves.toBe('disk_full');
    expect([test.read('c'), test.read('d')]).toEqual(['v', undefined]);
    test.disk.failure = undefined;
    await eventually(() => test.engine.notReady() === undefined);
    await test.put('e');
  });

  it('that are slower than the writes stop those for a moment, rather than let memory grow', async () => {
    const test = await open();
    test.disk.hold();
    test.disk.pendingBytes = 5_001;
    await test.put('a');
    await expect(test.put('b').catch(codeOf)).resolves.toBe('overloaded');
    test.disk.release();
    await eventually(() => test.engine.notReady() === undefined);
    await test.put('b');
  });

  it('that recover while the engine stops do not let writes in again, and nothing runs after the stop', async () => {
    const test = await open();
    test.disk.failure = 'EIO';
    test.disk.pendingBytes = 5_001;
    await test.put('a');
    await eventually(() => expect(test.reports).toHaveLength(1));
    test.disk.failure = undefined;
    await test.engine.stop();
    await expect(test.put('b').catch(codeOf)).resolves.toBe('stopping');
    const { checkpoints } = test.disk;
    await sleep(1_100);
    expect(test.disk.checkpoints).toBe(checkpoints);
  });

  it('on a real disk trim the log as they go', async () => {
    const folder = tempDir('engine');
    const checkpoint = { bytes: 60_000, intervalMs: 50, bytesMax: 9_999_999 };
    const test = keep(await openOnDisk(folder, { checkpoint }, { segmentBytes: 65_536 }));
    await test.define();
    for (let round = 0; round < 60; round++) await test.put(`k${round}`, 'x'.repeat(10_000));
    // 600 KB were written; what stays is the segment in use, and two kept for reuse.
    await eventually(() => test.log.sizeBytes < 300_000);
    expect(test.read('k0')).toBe('x'.repeat(10_000));
  });
});
