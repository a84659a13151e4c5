/**
 * Which bucket lives where. Every bucket is registered in the durable engine, whatever its mode; those that are kept
 * by another engine are defined there too, under the same id. When a crash came between the two, `reconcile` defines
 * them again.
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
  #defining: Promise<unknown> = Promise.resolve();
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
  async reload(): Promise<void> {
    const handles: Handle[] = [];
    for (const bucket of this.#options.engines.durable.machine.buckets.values()) {
      if (!bucket.dropped) handles.push(await this.#place(bucket));
    }
    this.#handles.clear();
    for (const handle of handles) this.#keep(handle);
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

  /** Makes a bucket or changes its settings. Definitions happen one after the other. */
  define(
    name: string,
    settings: BucketSettings,
    { onlyNew = false } = {},
  ): Promise<{ handle: Handle; created: boolean }> {
    const defined = this.#defining.then(async () => {
      const known = this.#handles.get(name);
      if (known !== undefined && onlyNew) return { handle: known, created: false };
      const { durable } = this.#options.engines;
      const { bucket: id, created = false } = await durable.submit({ do: 'defineBucket', name, settings });
      const handle = known ?? (await this.#place(durable.bucket(id!)!));
      if (known === undefined) this.#keep(handle);
      else if (handle.engine !== durable) await handle.engine.submit({ do: 'defineBucket', id: id!, name, settings });
      return { handle, created };
    });
    this.#defining = defined.catch(() => {});
    return defined;
  }

  async drop(name: string): Promise<void> {
    const { engine, bucket } = this.find(name);
    const { durable } = this.#options.engines;
    await durable.submit({ do: 'dropBucket', bucket: bucket.id });
    this.#handles.delete(name);
    if (engine !== durable) await engine.submit({ do: 'dropBucket', bucket: bucket.id });
    engine.hub.wake(bucket.id);
  }

  async #place(registered: BucketState): Promise<Handle> {
    const { id, name, settings } = registered;
    const { durable } = this.#options.engines;
    const engine = await this.#options.engines.engine(policyOf(settings.mode));
    if (engine !== durable) await engine.submit({ do: 'defineBucket', id, name, settings });
    return { name, mode: settings.mode, engine, bucket: engine.bucket(id)! };
  }
}
