/**
 * A process that comes to a bad end, for `lmdb-store.test.ts`: `node lmdb-store.victim.ts <folder> run|exit|refuse`.
 */
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { openLmdbStore } from './lmdb-store.ts';
import type { Store } from './store.ts';

/** The n-th step: always the same, so that a position says the whole state. */
export function stepNumber(store: Store, position: number): void {
  store.step(position, () => {
    store.put('records', `record ${position % 97}`, Buffer.from(`${position}`.repeat(1 + (position % 50))));
    store.remove('records', `record ${(position * 7) % 97}`);
    store.put('index', `${position % 1_000}`, Buffer.from(`${position}`));
  });
}

/** Steps and checkpoints without a pause, and says what was confirmed, until it is killed. */
async function run(store: Store): Promise<void> {
  for (;;) {
    for (let n = 0; n < 50; n++) stepNumber(store, store.position + 1);
    // Half of the steps happen during a checkpoint.
    const reached = store.checkpoint();
    for (let n = 0; n < 50; n++) stepNumber(store, store.position + 1);
    process.stdout.write(`${await reached}\n`);
  }
}

/** Exits while the writer thread is inside a transaction that takes some 100 ms. */
async function exit(store: Store): Promise<void> {
  stepNumber(store, 1);
  await store.checkpoint();
  while (store.position < 20_000) stepNumber(store, store.position + 1);
  void store.checkpoint();
  setTimeout(() => process.exit(7), 20);
}

/**
 * Has two checkpoints refused as a full disk would refuse them (no file may grow: EFBIG in the place of ENOSPC), and
 * says their codes and the position of a third. Not in the test's own process, because jest dies of the signal.
 */
async function refuse(store: Store): Promise<void> {
  stepNumber(store, 1);
  await store.checkpoint();
  for (let n = 0; n < 299; n++) stepNumber(store, store.position + 1);
  limitFileBytes('4096');
  const said: (string | number)[] = [];
  for (let n = 0; n < 2; n++) {
    const refused = store.checkpoint();
    stepNumber(store, store.position + 1);
    await refused.catch((error) => said.push(error.code));
    if (store.durablePosition !== 1 || store.pendingBytes === 0) said.push('forgot something');
  }
  limitFileBytes('unlimited');
  said.push(await store.checkpoint());
  process.stdout.write(`${said}`);
  await store.close();
}

const limitFileBytes = (bytesMax: string) => execFileSync('prlimit', [`--pid=${process.pid}`, `--fsize=${bytesMax}:`]);

const DEEDS: Record<string, (store: Store) => Promise<void>> = { run, exit, refuse };

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const store = await openLmdbStore(process.argv[2]!);
  await DEEDS[process.argv[3]!]!(store);
}
