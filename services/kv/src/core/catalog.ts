/**
 * Which bucket lives where. Every bucket is registered in the durable engine, whatever its mode; those that are kept
 * by another engine are defined there too, under the same id. When a crash came between the two, or the two were
 * restored from different moments, `reload` makes the others follow the registry: it defines what they lack, and drops
 * what is not registered.
 */
import type { BucketSettings, Mode } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { BucketState } from './bucket.ts';
import type { Engine } from './engine.ts';

export const POLICIES = ['durable', 'write-back', 'memory'] as const;
export type Policy = (typeof POLICIES)[number];

export const policyOf = (mode: Mode): Policy => (mode === 'durable' || mode === 'write-back' ? mode : 'memory');

export interface EngineSource {
  readonly durable: Engine;
  /** Opened when the first bucket needs it. */
  engine(policy: Policy): Promise<Engine>;
}

/** A bucket and the engine that keeps it. */
export interface Handle {
  name: string;
  mode: Mode;
  engine: Engine;
  bucket: BucketState;
}

export interface CatalogOptions {
  engines: EngineSource;
  /** Settings of a bucket that is made by the first write to it; undefined: writing to a missing bucket is a 404. */
  firstWrite: BucketSettings | undefined;
}

export class Catalog {
  readonly #options: CatalogOptions;
  readonly #handles = new Map<string, Handle>();
  /** Definitions, drops and reloads: one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #placed: (handle: Handle) => void = () => {};

  private constructor(options: CatalogOptions) {
    this.#options = options;
  }

  static async open(options: CatalogOptions): Promise<Catalog> {
    const catalog = new Catalog(options);
    await catalog.reload();
    return catalog;
  }

  /** Reads the registry anew: at the start, and after a restore. */
  reload(): Promise<void> {
    return this.#inTurn(async () => {
      const policies = new Set([...this.#handles.values()].map(({ mode }) => policyOf(mode)));
      const handles: Handle[] = [];
      for (const bucket of this.#options.engines.durable.machine.buckets.values()) {
        if (bucket.dropped) continue;
        handles.push(await this.#place(bucket));
        policies.add(policyOf(bucket.settings.mode));
      }
      for (const policy of policies) await this.#dropUnregistered(policy);
      const names = new Set(handles.map(({ name }) => name));
      for (const name of this.#handles.keys()) if (!names.has(name)) this.#handles.delete(name);
      for (const handle of handles) this.#keep(handle);
    });
  }

  async #dropUnregistered(policy: Policy): Promise<void> {
    const { durable } = this.#options.engines;
    const engine = await this.#options.engines.engine(policy);
    for (const { id, dropped } of engine === durable ? [] : engine.machine.buckets.values()) {
      if (!dropped && durable.bucket(id) === undefined) await engine.submit({ do: 'dropBucket', bucket: id });
    }
  }

  /** Calls `told` for every bucket there is and for each that comes. */
  onPlaced(told: (handle: Handle) => void): void {
    this.#placed = told;
    for (const handle of this.#handles.values()) told(handle);
  }

  #keep(handle: Handle): void {
    const known = this.#handles.get(handle.name);
    this.#handles.set(handle.name, handle);
    if (known?.bucket !== handle.bucket) this.#placed(handle);
  }

  /** @throws Problem `bucket_not_found`. */
  find(name: string): Handle {
    const handle = this.#handles.get(name);
    if (handle === undefined) throw new Problem('bucket_not_found', `there is no bucket ${JSON.stringify(name)}`);
    return handle;
  }

  /** As `find`, but a missing bucket is made if the service is set so. `make` checks the name. */
  async forWrite(name: string): Promise<Handle> {
    const handle = this.#handles.get(name);
    if (handle !== undefined) return handle;
    const { firstWrite } = this.#options;
    if (firstWrite === undefined) return this.find(name);
    return (await this.define(name, firstWrite, { onlyNew: true })).handle;
  }

  /** The handle if there is one: the way of hot paths. */
  peek(name: string): Handle | undefined {
    return this.#handles.get(name);
  }

  list(): Handle[] {
    return [...this.#handles.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Makes a bucket or changes its settings. */
  define(
    name: string,
    settings: BucketSettings,
    { onlyNew = false } = {},
  ): Promise<{ handle: Handle; created: boolean }> {
    return this.#inTurn(async () => {
      const known = this.#handles.get(name);
      if (known !== undefined && onlyNew) return { handle: known, created: false };
      if (known === undefined) await this.#reserveIds(settings.mode);
      const { durable } = this.#options.engines;
      const { bucket: id, created = false } = await durable.submit({ do: 'defineBucket', name, settings });
      const handle = await this.#place(durable.bucket(id!)!);
      this.#keep(handle);
      return { handle, created };
    });
  }

  async drop(name: string): Promise<void> {
    await this.#inTurn(async () => {
      const { engine, bucket } = this.find(name);
      const { durable } = this.#options.engines;
      // Registered no more: an earlier try went further than it could tell.
      if (durable.bucket(bucket.id) !== undefined) await durable.submit({ do: 'dropBucket', bucket: bucket.id });
      this.#handles.delete(name);
      if (engine !== durable) await engine.submit({ do: 'dropBucket', bucket: bucket.id });
      engine.hub.wake(bucket.id);
    });
  }

  /** An engine that was restored from another moment, or not at all, may know ids the registry would give again. */
  async #reserveIds(mode: Mode): Promise<void> {
    const { durable } = this.#options.engines;
    const { lastBucketId } = (await this.#options.engines.engine(policyOf(mode))).machine;
    if (lastBucketId <= durable.machine.lastBucketId) return;
    await durable.submit({ do: 'reserve', revision: 0, bucket: lastBucketId });
  }

  async #place(registered: BucketState): Promise<Handle> {
    const { id, name, settings } = registered;
    const { durable } = this.#options.engines;
    const engine = await this.#options.engines.engine(policyOf(settings.mode));
    if (engine !== durable) {
      await sweepDropped(engine, id);
      await engine.submit({ do: 'defineBucket', id, name, settings });
    }
    return { name, mode: settings.mode, engine, bucket: engine.bucket(id)! };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

/** Rows that one step removes. */
const SWEEP_ROWS = 1_000;

/** A bucket that a restore brings back may be on its way out where nothing was restored: first all of it goes. */
async function sweepDropped(engine: Engine, bucket: number): Promise<void> {
  while (engine.machine.buckets.get(bucket)?.dropped) {
    await engine.submit({ do: 'sweepBucket', bucket, limit: SWEEP_ROWS });
  }
}
