/**
 * Opens the engines in the data folder: the durable one at the start, the others when the first bucket needs them.
 * A restore closes the engines on disk and opens them anew in the next generation of the folder.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '@plinth/problem';
import type { KvConfig } from './config.ts';
import type { EngineSource, Policy } from './core/catalog.ts';
import type { CommitObserver } from './core/commit-queue.ts';
import { Engine } from './core/engine.ts';
import { Recency } from './core/recency.ts';
import type { DataFolder } from './store/data-folder.ts';
import { openLmdbStore } from './store/lmdb-store.ts';
import { openMemoryStore } from './store/memory-store.ts';
import { openSegmentLog } from './store/segment-log.ts';
import type { Store } from './store/store.ts';

export interface EnginesOptions {
  folder: DataFolder;
  config: KvConfig;
  now: () => number;
  observer: CommitObserver | undefined;
  report: (what: string, error: unknown) => void;
}

/** More revisions than a write-back bucket can have given out and lost: a minute of writes and some. */
const LOST_REVISIONS_MAX = 10_000_000;

export class Engines implements EngineSource {
  readonly #options: EnginesOptions;
  readonly #opening = new Map<Policy, Promise<Engine>>();
  /** In the order in which they were opened. */
  readonly #open = new Map<Policy, Engine>();

  private constructor(options: EnginesOptions) {
    this.#options = options;
  }

  static async open(options: EnginesOptions): Promise<Engines> {
    const engines = new Engines(options);
    await engines.engine('durable');
    return engines;
  }

  /** @throws Problem `unavailable` while a restore goes on. */
  get durable(): Engine {
    const engine = this.#open.get('durable');
    if (engine === undefined) throw new Problem('unavailable', 'a restore goes on', { retryAfterMs: 1_000 });
    return engine;
  }

  engine(policy: Policy): Promise<Engine> {
    const known = this.#opening.get(policy);
    if (known !== undefined) return known;
    const opening = this.#openAndKeep(policy);
    this.#opening.set(policy, opening);
    opening.catch(() => this.#opening.delete(policy));
    return opening;
  }

  async #openAndKeep(policy: Policy): Promise<Engine> {
    const engine = await (policy === 'memory' ? this.#openMemory() : this.openOnDisk(policy));
    this.#open.set(policy, engine);
    return engine;
  }

  /** The engines that are open, by policy. */
  get all(): ReadonlyMap<Policy, Engine> {
    return this.#open;
  }

  /** Opens an engine in a generation of the data folder, beside the one in use if told so. */
  async openOnDisk(policy: Exclude<Policy, 'memory'>, generation?: number): Promise<Engine> {
    const { folder, config } = this.#options;
    const path = folder.engineFolder(policy, generation);
    await mkdir(path, { recursive: true });
    const store = refusingOnceClosed(await openLmdbStore(join(path, 'state'), { cacheBytes: config.cacheBytes / 2 }));
    const log = await openSegmentLog(join(path, 'log'), {
      sync: policy === 'durable' ? 'always' : 'none',
      segmentBytes: config.logSegmentBytes,
      startAt: store.position,
    });
    const engine = await Engine.open({ ...this.#common(), store, log, flushesLater: policy === 'write-back' });
    if (policy === 'write-back' && engine.machine.revision > 0) {
      // Revisions given out before a loss of power must not be given to other values.
      await engine.submit({ do: 'reserve', revision: engine.machine.revision + LOST_REVISIONS_MAX });
    }
    return engine;
  }

  async #openMemory(): Promise<Engine> {
    const { folder, now } = this.#options;
    const recency = new Recency();
    const options = { ...this.#common(), store: openMemoryStore(), log: undefined, flushesLater: false, recency };
    const engine = await Engine.open(options);
    await engine.submit({ do: 'reserve', revision: await folder.nextCacheRevision(now()) });
    return engine;
  }

  #common() {
    const { config, now, observer, report } = this.#options;
    const { checkpointBytes: bytes, checkpointIntervalMs: intervalMs, pendingBytesMax: bytesMax } = config;
    return {
      now,
      elapsed: () => performance.now(),
      observer,
      report,
      commitTimeoutMs: config.commitTimeoutMs,
      checkpoint: { bytes, intervalMs, bytesMax },
    };
  }

  /** Closes the engines on disk; until they are opened again everything on disk is unavailable. */
  async pause(reason: Problem): Promise<void> {
    for (const policy of ['write-back', 'durable'] as const) {
      const engine = this.#open.get(policy);
      this.#open.delete(policy);
      this.#opening.delete(policy);
      await engine?.stop(reason);
    }
  }

  /** Undefined when every engine takes writes, else why not. */
  notReady(): string | undefined {
    if (!this.#open.has('durable')) return 'a restore goes on';
    for (const [policy, engine] of this.#open) {
      const reason = engine.notReady();
      if (reason !== undefined) return `${policy}: ${reason}`;
    }
    return undefined;
  }

  async stop(): Promise<void> {
    for (const engine of [...this.#open.values()].reverse()) await engine.stop();
  }
}

/**
 * Readers may hold an engine while a restore closes it, in the middle of a page or a stream. They are told to come back
 * (503) instead of meeting the store's own fault (500).
 */
function refusingOnceClosed(store: Store): Store {
  const close = store.close.bind(store);
  const refuse = () => {
    throw new Problem('unavailable', 'a restore goes on', { retryAfterMs: 1_000 });
  };
  store.close = () => {
    store.get = refuse;
    store.range = refuse;
    return close();
  };
  return store;
}
