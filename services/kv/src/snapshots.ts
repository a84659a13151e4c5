/**
 * Copies of everything on disk, made while serving, and the way back to one. A snapshot holds the state of each engine
 * as of one of its revisions. Going back opens the copies as the next generation of the data folder; the one in use
 * stays untouched until the new one is ready, and the switch is one rename.
 */
import { cp, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Snapshot } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Catalog, Policy } from './core/catalog.ts';
import { diskProblem } from './core/commit-queue.ts';
import type { Engine } from './core/engine.ts';
import type { Engines } from './engines.ts';
import { type DataFolder, writeDurably } from './store/data-folder.ts';

export interface SnapshotsOptions {
  folder: DataFolder;
  engines: Engines;
  catalog: () => Catalog;
  now: () => number;
  max: number;
}

type OnDisk = 'durable' | 'write-back';

const DESCRIPTION = 'snapshot.json';
const ID = /^[0-9]{8}T[0-9]{9}Z-[0-9]+$/;
/** Records that one step of a compaction visits. */
const COMPACT_RECORDS = 1_000;

export class Snapshots {
  readonly #options: SnapshotsOptions;
  /** One at a time: each is a copy of everything. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  /** Newest first. One that was cut off by a crash has no description and is not there. */
  async list(): Promise<Snapshot[]> {
    const { folder } = this.#options;
    const names = await readdir(folder.snapshots).catch(() => []);
    const found = await Promise.all(names.filter((name) => ID.test(name)).map((name) => this.#describe(name)));
    return found.filter((each) => each !== undefined).sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  /**
   * @param idempotencyKey - Of an earlier call: its snapshot is the answer, for as long as it is kept.
   * @throws Problem `conflict` when there are as many as may be, `disk_full`.
   */
  create(idempotencyKey?: string): Promise<{ snapshot: Snapshot; isReplay: boolean }> {
    return this.#inTurn(async () => {
      const present = await this.list();
      const made = idempotencyKey === undefined ? undefined : present.find((each) => each.madeBy === idempotencyKey);
      if (made !== undefined) return { snapshot: made, isReplay: true };
      const { max } = this.#options;
      if (present.length >= max) throw new Problem('conflict', `there are ${max} snapshots: delete one`);
      return { snapshot: await this.#copy(idempotencyKey), isReplay: false };
    });
  }

  async #copy(madeBy: string | undefined): Promise<Snapshot> {
    const { folder, engines, now } = this.#options;
    const { revision } = engines.durable.view();
    const createdAt = new Date(now()).toISOString();
    const id = `${createdAt.replace(/[-:.]/g, '')}-${revision}`;
    const unfinished = join(folder.snapshots, `${id}.unfinished`);
    try {
      await this.#removeUnfinished();
      await this.#copyEngines(unfinished);
      const snapshot = { id, createdAt, revision, sizeBytes: await sizeOf(unfinished), madeBy };
      await writeDurably(join(unfinished, DESCRIPTION), JSON.stringify(snapshot));
      await rename(unfinished, join(folder.snapshots, id));
      return snapshot;
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      throw error instanceof Problem ? error : diskProblem(error);
    }
  }

  /** @throws Problem `snapshot_not_found`. */
  async remove(id: string): Promise<void> {
    await this.#inTurn(async () => {
      await this.#find(id);
      const whole = join(this.#options.folder.snapshots, id);
      // In one step no snapshot any more: half of one must never be gone back to.
      await rename(whole, `${whole}.unfinished`);
      await rm(`${whole}.unfinished`, { recursive: true, force: true });
    });
  }

  /**
   * Everything on disk becomes what it was. Revisions go on from the highest ever given, everything before is
   * forgotten, watches are told so. Reads and writes answer 503 for the moment of the switch.
   *
   * @returns The revision from which the buckets go on.
   */
  restore(id: string): Promise<number> {
    return this.#inTurn(async () => {
      await this.#find(id);
      const { folder, engines } = this.#options;
      const generation = folder.nextGeneration;
      const source = join(folder.snapshots, id);
      try {
        const present = highestRevision(engines.all);
        await this.#prepare(source, generation, present);
      } catch (error) {
        await rm(folder.engineFolder('', generation), { recursive: true, force: true });
        throw error instanceof Problem ? error : diskProblem(error);
      }
      return this.#switchTo(source, generation);
    });
  }

  /** Fills the next generation from the copies. */
  async #prepare(source: string, generation: number, present: number): Promise<void> {
    const { folder, engines } = this.#options;
    for (const policy of await copiesIn(source)) {
      const target = folder.engineFolder(policy, generation);
      await mkdir(target, { recursive: true });
      await cp(join(source, policy), join(target, 'state'), { recursive: true });
      const engine = await engines.openOnDisk(policy, generation);
      await forgetPast(engine, present);
      await engine.stop();
    }
  }

  async #switchTo(source: string, generation: number): Promise<number> {
    const { folder, engines, catalog } = this.#options;
    const before = new Map([...engines.all].filter(([policy]) => policy !== 'memory'));
    await engines.pause(new Problem('unavailable', 'a restore goes on', { retryAfterMs: 1_000 }));
    try {
      await this.#reserveRevisions(new Set([...(await copiesIn(source)), ...before.keys()]), generation, before);
      await folder.switchTo(generation);
    } finally {
      // The new generation, or the one there was when the disk refused.
      for (const policy of before.keys()) await engines.engine(policy);
      await catalog().reload();
    }
    for (const engine of before.values()) engine.hub.wakeAll();
    return engines.durable.view().revision;
  }

  /**
   * What was written until the pause was answered: its revisions are taken, also in an engine that has no copy. Before
   * the switch, for after it a crash would forget them.
   */
  async #reserveRevisions(policies: ReadonlySet<Policy>, generation: number, before: ReadonlyMap<Policy, Engine>) {
    const last = highestRevision(before);
    for (const policy of policies) {
      if (policy === 'memory') continue;
      const engine = await this.#options.engines.openOnDisk(policy, generation);
      await reserve(engine, last);
      await engine.stop();
    }
  }

  async #copyEngines(target: string): Promise<void> {
    for (const [policy, engine] of this.#options.engines.all) {
      if (policy === 'memory') continue;
      await mkdir(join(target, policy), { recursive: true });
      await engine.checkpoint();
      await engine.store.copyTo(join(target, policy));
    }
  }

  /** What a crash has left of copies: nobody can see them, and they take room. */
  async #removeUnfinished(): Promise<void> {
    const { folder } = this.#options;
    const names = await readdir(folder.snapshots).catch(() => []);
    for (const name of names.filter((each) => each.endsWith('.unfinished'))) {
      await rm(join(folder.snapshots, name), { recursive: true, force: true });
    }
  }

  async #find(id: string): Promise<Snapshot> {
    const snapshot = ID.test(id) ? await this.#describe(id) : undefined;
    if (snapshot === undefined) throw new Problem('snapshot_not_found', `there is no snapshot ${JSON.stringify(id)}`);
    return snapshot;
  }

  async #describe(id: string): Promise<Snapshot | undefined> {
    try {
      return JSON.parse(await readFile(join(this.#options.folder.snapshots, id, DESCRIPTION), 'utf8')) as Snapshot;
    } catch {
      return undefined;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

function highestRevision(engines: ReadonlyMap<Policy, Engine>): number {
  let highest = 0;
  for (const [policy, engine] of engines) {
    if (policy !== 'memory') highest = Math.max(highest, engine.view().revision);
  }
  return highest;
}

/** What lies before the restore was another history: compacted away, so that nobody takes the two for one. */
async function forgetPast(engine: Engine, present: number): Promise<void> {
  for (const bucket of engine.machine.buckets.values()) {
    for (;;) {
      const { revision } = bucket;
      const command = { do: 'compact', bucket: bucket.id, revision, limit: COMPACT_RECORDS } as const;
      if (bucket.dropped || !(await engine.submit(command)).more) break;
    }
  }
  await reserve(engine, present);
}

const reserve = (engine: Engine, revision: number) => engine.submit({ do: 'reserve', revision, forgetPast: true });

async function copiesIn(source: string): Promise<OnDisk[]> {
  const names = await readdir(source);
  return (['durable', 'write-back'] as const).filter((policy) => names.includes(policy));
}

async function sizeOf(folder: string): Promise<number> {
  let sizeBytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) sizeBytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return sizeBytes;
}
