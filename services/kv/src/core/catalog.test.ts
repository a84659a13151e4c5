import { describe, expect, it } from '@jest/globals';
import type { BucketSettings } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import { ManualClock, tempDir } from '@plinth/testkit';
import { Catalog, type EngineSource, type Policy, policyOf } from './catalog.ts';
import { openEngine, openOnDisk } from './engine.fixture.ts';
import type { Engine } from './engine.ts';
import { bytes, settingsOf } from './machine.fixture.ts';
import { Recency } from './recency.ts';
import { ScriptedLog } from './scripted-log.fixture.ts';

const codeOf = (error: unknown): string | undefined => (error instanceof Problem ? error.code : String(error));

/** Engines without a disk, opened when they are needed. */
class TestEngines implements EngineSource {
  readonly open = new Map<Policy, Engine>();
  readonly logs = { durable: new ScriptedLog(), 'write-back': new ScriptedLog(), memory: undefined };
  readonly clock = new ManualClock();

  static async start(): Promise<TestEngines> {
    const engines = new TestEngines();
    await engines.engine('durable');
    return engines;
  }

  get durable(): Engine {
    return this.open.get('durable')!;
  }

  async engine(policy: Policy): Promise<Engine> {
    const known = this.open.get(policy);
    if (known !== undefined) return known;
    const { engine } = await openEngine({ log: this.logs[policy], recency: new Recency() }, this.clock);
    this.open.set(policy, engine);
    return engine;
  }

  async stop(): Promise<void> {
    for (const engine of this.open.values()) await engine.stop();
  }
}

async function catalogOn(engines: EngineSource, firstWrite?: BucketSettings): Promise<Catalog> {
  return Catalog.open({ engines, firstWrite });
}

const WRITE_BACK = settingsOf({ mode: 'write-back' });
const CACHE = settingsOf({ mode: 'cache', bytesMax: 1_000_000 });
const put = (bucket: number, key = 'a') =>
  ({ do: 'operation', bucket, operation: { op: 'put', key, value: bytes('v') } }) as const;

describe('a catalog', () => {
  it('keeps each mode in the engine that belongs to it', () => {
    expect((['durable', 'write-back', 'cache', 'read-through'] as const).map(policyOf)).toEqual([
      'durable',
      'write-back',
      'memory',
      'memory',
    ]);
  });

  it('defines a bucket in the registry and, under the same id, in the engine that keeps it', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    await catalog.define('d', settingsOf());
    expect([...engines.open.keys()]).toEqual(['durable']);
    const { handle, created } = await catalog.define('c', CACHE);
    expect(created).toBe(true);
    expect(handle).toMatchObject({ name: 'c', mode: 'cache', bucket: { id: 2 } });
    expect(handle.engine).toBe(engines.open.get('memory'));
    expect(handle.engine.machine.buckets.get(2)).toBe(handle.bucket);
    expect(engines.durable.bucket(2)).toMatchObject({ name: 'c' });
    expect(catalog.list().map(({ name }) => name)).toEqual(['c', 'd']);
    await engines.stop();
  });

  it('changes settings in both places, and refuses another mode', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    const { handle } = await catalog.define('w', WRITE_BACK);
    const changed = { ...WRITE_BACK, flushMs: 77 };
    expect(await catalog.define('w', changed)).toMatchObject({ created: false, handle: { bucket: { id: 1 } } });
    expect([handle.bucket.settings.flushMs, engines.durable.bucket(1)!.settings.flushMs]).toEqual([77, 77]);
    expect(catalog.find('w').bucket).toBe(handle.bucket);
    await expect(catalog.define('w', settingsOf()).catch(codeOf)).resolves.toBe('conflict');
    await engines.stop();
  });

  it('says that a bucket is missing, or makes it by the first write', async () => {
    const engines = await TestEngines.start();
    const strict = await catalogOn(engines);
    await expect(strict.forWrite('x').catch(codeOf)).resolves.toBe('bucket_not_found');
    expect(strict.peek('x')).toBeUndefined();
    expect(() => strict.find('x')).toThrow('there is no bucket "x"');
    const making = await catalogOn(engines, settingsOf({ keysMax: 5 }));
    const handles = await Promise.all(['x', 'x', 'x'].map((name) => making.forWrite(name)));
    expect(new Set(handles.map(({ bucket }) => bucket.id))).toEqual(new Set([1]));
    expect(making.find('x').bucket.settings.keysMax).toBe(5);
    await engines.stop();
  });

  it('does not change the settings of a bucket that another first write has just made', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines, settingsOf());
    const defined = catalog.define('x', settingsOf({ keysMax: 9 }));
    const written = catalog.forWrite('x');
    await Promise.all([defined, written]);
    expect(catalog.find('x').bucket.settings.keysMax).toBe(9);
    await engines.stop();
  });

  it('tells of every bucket there is and of each that comes, once', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    await catalog.define('a', settingsOf());
    const told: string[] = [];
    catalog.onPlaced(({ name }) => told.push(name));
    await catalog.define('b', CACHE);
    await catalog.define('b', CACHE);
    await catalog.reload();
    expect(told).toEqual(['a', 'b']);
    await engines.stop();
  });
});

describe('dropping a bucket', () => {
  it('drops it in both places and wakes its watchers', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    const { handle } = await catalog.define('c', CACHE);
    let woken = 0;
    handle.engine.hub.watch(handle.bucket.id, () => woken++);
    await catalog.drop('c');
    expect(woken).toBe(1);
    expect([handle.engine.bucket(1), engines.durable.bucket(1), catalog.peek('c')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    await expect(catalog.drop('c').catch(codeOf)).resolves.toBe('bucket_not_found');
    await engines.stop();
  });

  it('and making it again at the same moment gives a new, empty one that can be found', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    const { handle } = await catalog.define('x', WRITE_BACK);
    await handle.engine.submit(put(handle.bucket.id));
    const [, { handle: again, created }] = await Promise.all([catalog.drop('x'), catalog.define('x', WRITE_BACK)]);
    expect(created).toBe(true);
    expect(catalog.find('x')).toBe(again);
    expect(again.bucket).toMatchObject({ id: 2, keys: 0, dropped: false });
    await engines.stop();
  });

  it.each([0, 1, 2, 3, 5, 8])('during a change of its settings waits for that (%i steps later)', async (steps) => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    await catalog.define('x', WRITE_BACK);
    const defined = catalog.define('x', { ...WRITE_BACK, keysMax: 3 });
    for (let step = 0; step < steps; step++) await null;
    const dropped = catalog.drop('x');
    await expect(Promise.all([defined, dropped])).resolves.toMatchObject([{ created: false }, undefined]);
    expect([catalog.peek('x'), engines.open.get('write-back')!.bucket(1)]).toEqual([undefined, undefined]);
    await engines.stop();
  });

  it('that the disk refused has not happened, and works when tried again', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    await catalog.define('w', WRITE_BACK);
    engines.logs.durable.failures.push('ENOSPC');
    await expect(catalog.drop('w').catch(codeOf)).resolves.toBe('disk_full');
    expect(catalog.peek('w')).toBeDefined();
    await catalog.drop('w');
    expect(catalog.peek('w')).toBeUndefined();
    await engines.stop();
  });
});

describe('a crash between the two definitions', () => {
  it('is healed by a reload: what is registered is defined where it belongs', async () => {
    const engines = await TestEngines.start();
    await engines.durable.submit({ do: 'defineBucket', name: 'w', settings: WRITE_BACK });
    const catalog = await catalogOn(engines);
    const { engine, bucket } = catalog.find('w');
    expect(engine).toBe(engines.open.get('write-back'));
    await engine.submit(put(bucket.id));
    expect(bucket.keys).toBe(1);
    await engines.stop();
  });

  it('in a change of settings is healed by a reload', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    await catalog.define('w', WRITE_BACK);
    engines.logs['write-back'].failures.push('ENOSPC');
    await expect(catalog.define('w', { ...WRITE_BACK, keysMax: 3 }).catch(codeOf)).resolves.toBe('disk_full');
    await catalog.reload();
    expect(catalog.find('w').bucket.settings.keysMax).toBe(3);
    await engines.stop();
  });

  it('in a drop is healed by a reload: what is not registered is dropped', async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    await catalog.define('w', WRITE_BACK);
    const { bucket } = (await catalog.define('kept', WRITE_BACK)).handle;
    await engines.durable.submit({ do: 'dropBucket', bucket: 1 });
    await catalog.reload();
    const engine = engines.open.get('write-back')!;
    expect([engine.bucket(1), engine.bucket(2)]).toEqual([undefined, bucket]);
    expect(catalog.list().map(({ name }) => name)).toEqual(['kept']);
    await engines.stop();
  });

  it('is healed by a restart on disk', async () => {
    const folder = tempDir('catalog');
    const first = await openOnDisk(folder);
    await first.engine.submit({ do: 'defineBucket', name: 'c', settings: CACHE });
    await first.engine.stop();
    const durable = (await openOnDisk(folder)).engine;
    const memory = (await openEngine({ recency: new Recency() })).engine;
    const catalog = await catalogOn({ durable, engine: async (policy) => (policy === 'durable' ? durable : memory) });
    expect(catalog.find('c')).toMatchObject({ mode: 'cache', bucket: { id: 1 } });
    await durable.stop();
    await memory.stop();
  });
});

describe('after a restore of the registry', () => {
  /** The registry goes back to a moment before `c` was made, while the cache stays as it is. */
  const restored = async () => {
    const engines = await TestEngines.start();
    const catalog = await catalogOn(engines);
    const { handle } = await catalog.define('c', CACHE);
    await handle.engine.submit(put(handle.bucket.id, 'secret'));
    await engines.durable.stop();
    engines.open.set('durable', (await openEngine()).engine);
    return { engines, catalog, old: handle };
  };

  it('buckets it does not know are dropped', async () => {
    const { engines, catalog, old } = await restored();
    await catalog.reload();
    expect(catalog.list()).toEqual([]);
    expect(old.engine.bucket(old.bucket.id)).toBeUndefined();
    await engines.stop();
  });

  it('a bucket that comes back while what was dropped of it is still being swept comes back empty', async () => {
    const { engines, catalog, old } = await restored();
    await old.engine.submit({ do: 'dropBucket', bucket: old.bucket.id });
    await engines.durable.submit({ do: 'defineBucket', name: 'c', settings: CACHE });
    await catalog.reload();
    const { bucket } = catalog.find('c');
    expect(bucket).toMatchObject({ id: old.bucket.id, dropped: false, keys: 0 });
    await engines.stop();
  });

  it('a new bucket never gets the id, and with it the entries, of one that another engine still has', async () => {
    const { engines, catalog, old } = await restored();
    await catalog.reload();
    const { handle } = await catalog.define('new', CACHE);
    expect(handle.bucket.id).toBeGreaterThan(old.bucket.id);
    expect(handle.engine.read(handle.bucket.id, 'secret')).toBeUndefined();
    await engines.stop();
  });
});
