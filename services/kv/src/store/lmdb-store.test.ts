import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { startWriter } from './checkpoint-writer.ts';
import { type LmdbStoreOptions, openLmdbStore } from './lmdb-store.ts';
import { stepNumber } from './lmdb-store.victim.ts';
import { openMemoryStore } from './memory-store.ts';
import { bytes, putKeys, randomFrom, type StoreUnderTest, storeContract } from './store.contract.ts';
import { type Store, TABLES } from './store.ts';

const newFolder = () => mkdtemp(join(tmpdir(), 'lmdb-store-'));

async function openSubject(): Promise<StoreUnderTest> {
  const folder = await newFolder();
  const subject = {
    store: await openLmdbStore(folder),
    async reopen() {
      await subject.store.close();
      subject.store = await openLmdbStore(folder);
      return subject.store;
    },
    async dispose() {
      await subject.store.close();
      await rm(folder, { recursive: true });
    },
  };
  return subject;
}

storeContract('LmdbStore', openSubject);

describe('LmdbStore', () => {
  let folder: string;
  let store: Store;
  const open = async (options?: LmdbStoreOptions) => {
    store = await openLmdbStore(folder, options);
    return store;
  };
  beforeEach(async () => {
    folder = await newFolder();
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  test('a new folder gets a whole data file and nothing of its making', async () => {
    await open();
    expect((await readdir(folder)).sort()).toEqual(['state.mdb', 'state.mdb-lock']);
  });

  test('a draft left by a crash while creating is no obstacle', async () => {
    await writeFile(join(folder, 'draft-state.mdb'), 'half a fi');
    await open();
    expect(store.position).toBe(0);
  });

  test('a file that is no LMDB file is refused', async () => {
    await writeFile(join(folder, 'state.mdb'), Buffer.alloc(8192, 'x'));
    await expect(openLmdbStore(folder)).rejects.toMatchObject({ code: 'MDB_INVALID' });
    await rm(join(folder, 'state.mdb'));
    await open();
  });

  test('the writer thread starts at the first checkpoint and serves all of them', async () => {
    let threads = 0;
    const counting = (data: Parameters<typeof startWriter>[0]) => {
      threads++;
      return startWriter(data);
    };
    await open({ startWriter: counting });
    putKeys(store, 1, ['a']);
    expect(threads).toBe(0);
    for (const position of [2, 3]) {
      putKeys(store, position, ['b']);
      await store.checkpoint();
    }
    expect(threads).toBe(1);
  });

  test('the map grows when the file outgrows it', async () => {
    await open({ mapSizeBytes: 256 * 1024 });
    for (let position = 1; position <= 5; position++) {
      store.step(position, () => store.put('versions', `${position}`, Buffer.alloc(1024 * 1024, position)));
      await store.checkpoint();
    }
    expect([...store.range('versions', {})].map(({ value }) => value.at(-1))).toEqual([1, 2, 3, 4, 5]);
  });

  test('a copy is the store of the last checkpoint, and both go their own ways', async () => {
    await open();
    for (let position = 1; position <= 500; position++) stepNumber(store, position);
    await store.checkpoint();
    stepNumber(store, 501);
    const running = store.checkpoint();
    const target = join(folder, 'copy');
    const position = await store.copyTo(target);
    await running;
    expect([500, 501]).toContain(position);
    const copy = await openLmdbStore(target);
    await expectStateAt(copy, position);
    stepNumber(copy, position + 1);
    await copy.checkpoint();
    await copy.close();
    await expectStateAt(store, 501);
  });

  test('a killed process leaves exactly the steps up to a position, and no fewer than were confirmed', async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    console.info(`killing: SEED=${seed}`);
    const random = randomFrom(seed);
    for (let round = 0; round < 8; round++) {
      const confirmed = await runAndKill(folder, random() * 60);
      await open();
      expect(store.position).toBeGreaterThanOrEqual(confirmed);
      await expectStateAt(store, store.position);
      await store.close();
    }
    await open();
    expect(store.position).toBeGreaterThan(0);
  });

  test('power lost in the middle of a checkpoint: whichever pages reached the disk, the one before is found', async () => {
    const random = randomFrom(Number(process.env.SEED ?? 1));
    await open();
    for (let position = 1; position <= 300; position++) stepNumber(store, position);
    await store.checkpoint();
    const before = await readFile(join(folder, 'state.mdb'));
    for (let position = 301; position <= 600; position++) stepNumber(store, position);
    await store.checkpoint();
    const after = await readFile(join(folder, 'state.mdb'));
    for (let round = 0; round < 10; round++) {
      const likelihood = round / 9;
      const torn = join(folder, `torn-${round}`);
      await writeDataFile(
        torn,
        tearPages({ before, after }, () => random() < likelihood),
      );
      await expectUsableAt(torn, 300);
    }
    await writeDataFile(join(folder, 'whole'), after);
    await expectUsableAt(join(folder, 'whole'), 600);
  });

  test('a writer that dies: the call rejects, reads go on, the next one starts another and brings everything', async () => {
    const thread = { first: () => new Worker('process.exit(3)', { eval: true }), others: startWriter };
    let threads = 0;
    await open({ startWriter: (data) => (threads++ === 0 ? thread.first() : thread.others(data)) });
    for (let position = 1; position <= 500; position++) stepNumber(store, position);
    const failing = store.checkpoint();
    stepNumber(store, 501);
    const following = store.checkpoint();
    await expect(failing).rejects.toMatchObject({ code: 'WRITER_DIED' });
    await expectStateAt(store, 501);
    expect(await following).toBe(501);
    await expectStateAt(store, 501);
    await store.close();
    await expectStateAt(await open(), 501);
  });

  test('a process that exits in the middle of a checkpoint ends, and the checkpoint is whole', async () => {
    const victim = spawnVictim(folder, 'exit');
    const [code] = await once(victim, 'close');
    expect(code).toBe(7);
    await open();
    await expectStateAt(store, 20_000);
  });

  const testWithLimits = hasPrlimit() ? test : test.skip;
  testWithLimits(
    'a disk that refuses: the call rejects with its code, nothing is lost, a later call succeeds',
    async () => {
      const [said, code] = await outputOf(spawnVictim(folder, 'refuse'));
      expect([said.trim(), code]).toEqual(['EFBIG,EFBIG,302', 0]);
      await open();
      await expectStateAt(store, 302);
    },
  );

  test('closing waits for the checkpoint under way', async () => {
    await open();
    putKeys(store, 1, ['a']);
    const running = store.checkpoint();
    await store.close();
    expect(await running).toBe(1);
    await open();
    expect(store.get('records', 'a')).toEqual(bytes('value of a'));
  });
});

function spawnVictim(folder: string, deed: 'run' | 'exit' | 'refuse') {
  const script = fileURLToPath(new URL('./lmdb-store.victim.ts', import.meta.url));
  const env = { ...process.env, NODE_OPTIONS: '' };
  return spawn(process.execPath, [script, folder, deed], {
    env,
    stdio: ['ignore', 'pipe', deed === 'refuse' ? 'ignore' : 'inherit'],
  });
}

async function outputOf(child: ReturnType<typeof spawnVictim>): Promise<[said: string, code: number]> {
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = await once(child, 'close');
  return [said, code];
}

/** Runs the victim on `folder`, kills it some milliseconds after its first checkpoint, answers the last confirmed. */
async function runAndKill(folder: string, afterMs: number): Promise<number> {
  const victim = spawnVictim(folder, 'run');
  let said = '';
  victim.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (said === '') setTimeout(() => victim.kill('SIGKILL'), afterMs);
    said += text;
  });
  await once(victim, 'close');
  return Number(said.split('\n').at(-2));
}

/** The state after steps 1 to `position`, by the backend that has no disk. */
async function expectStateAt(store: Store, position: number): Promise<void> {
  const expected = openMemoryStore();
  for (let n = 1; n <= position; n++) stepNumber(expected, n);
  expect(store.position).toBe(position);
  for (const table of TABLES) {
    expect([...store.range(table, {})].map(plain)).toEqual([...expected.range(table, {})].map(plain));
  }
}

const plain = ({ key, value }: { key: string; value: Uint8Array }) => `${key}=${Buffer.from(value).toString('latin1')}`;

const PAGE_BYTES = 4096;

/** The file of before with some of the data pages of after; the two meta pages are only written after a sync. */
function tearPages({ before, after }: { before: Buffer; after: Buffer }, reachedDisk: () => boolean): Buffer {
  const torn = Buffer.alloc(after.length);
  before.copy(torn);
  for (let at = 2 * PAGE_BYTES; at < after.length; at += PAGE_BYTES) {
    if (reachedDisk()) after.copy(torn, at, at, at + PAGE_BYTES);
  }
  return torn;
}

async function writeDataFile(folder: string, content: Buffer): Promise<void> {
  await mkdir(folder);
  await writeFile(join(folder, 'state.mdb'), content);
}

async function expectUsableAt(folder: string, position: number): Promise<void> {
  const store = await openLmdbStore(folder);
  await expectStateAt(store, position);
  stepNumber(store, position + 1);
  await store.checkpoint();
  await expectStateAt(store, position + 1);
  await store.close();
}

function hasPrlimit(): boolean {
  try {
    execFileSync('prlimit', ['--version']);
    return true;
  } catch {
    return false;
  }
}
