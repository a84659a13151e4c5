/** The process is killed while it makes a snapshot, goes back to one or deletes one. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { eventually, seededRandom, tempDir } from '@plinth/testkit';
import { type Answer, type HttpClient, jsonOf, Unanswered } from './http-client.ts';
import { KvProcess } from './kv-process.ts';
import { rounds, roundsMs } from './rounds.ts';

const KILLS = 4;
const KEYS = 60;
const VALUE = '.'.repeat(20_000);
/** One durable, one write-back. */
const BOTH = ['b', 'w'] as const;
type Buckets = readonly (typeof BOTH)[number][];
/** No checkpoint by itself: what a snapshot copies is then what it checkpointed. */
const ENV = { KV_LOG_SEGMENT_BYTES: '1048576', KV_SNAPSHOTS_MAX: '1000' };

async function writeAll(http: HttpClient, generation: string, buckets: Buckets = BOTH): Promise<void> {
  for (const bucket of buckets) {
    const operations = Array.from({ length: KEYS }, (_, at) => {
      return { op: 'put', key: `k${at}`, value: `${generation}${VALUE}` };
    });
    for (let at = 0; at < KEYS; at += 30) {
      // biome-ignore lint/suspicious/noThenProperty: the API's word.
      const answer = await http.sendJson('POST', `/v1/kv/${bucket}:txn`, { then: operations.slice(at, at + 30) });
      expect(answer.status).toBe(200);
    }
  }
}

/** The one generation all keys of both buckets are of. @throws Error when they are of several. */
async function generationOf(http: HttpClient, buckets: Buckets = BOTH): Promise<string> {
  const found = new Set<string>();
  for (const bucket of buckets) {
    const page = jsonOf<{ items: { value: string }[] }>(await http.send('GET', `/v1/kv/${bucket}?values=true`));
    expect(page.items).toHaveLength(KEYS);
    for (const { value } of page.items) found.add(value.slice(0, -VALUE.length));
  }
  if (found.size !== 1) throw new Error(`a mix of ${[...found]}`);
  return [...found][0]!;
}

async function start(dataDir: string, buckets: Buckets = BOTH): Promise<KvProcess> {
  const kv = await KvProcess.start({ dataDir, env: ENV });
  if (!buckets.includes('w')) return kv;
  expect((await kv.http.sendJson('PUT', '/v1/buckets/w', { mode: 'write-back' })).status).toBeLessThan(300);
  return kv;
}

/** Sends a request and kills the process some time later. Answers the status, if there was one. */
async function killDuring(kv: KvProcess, ms: number, request: Promise<Answer>): Promise<number | undefined> {
  const answered = request.then(
    ({ status }) => status,
    (error) => {
      if (!(error instanceof Unanswered)) throw error;
      return undefined;
    },
  );
  await sleep(ms);
  await kv.kill();
  return answered;
}

/** Resolves when the next generation is about to be the one in use, or is. */
async function switched(dataDir: string): Promise<void> {
  const unfinished = join(dataDir, 'CURRENT.unfinished');
  // An earlier kill may have left one.
  rmSync(unfinished, { force: true });
  const isAbout = () => existsSync(unfinished);
  const read = () => readFileSync(join(dataDir, 'CURRENT'), 'utf8');
  const before = read();
  await eventually(() => isAbout() || read() !== before, { timeoutMs: 20_000, intervalMs: 1 });
}

/** Writes that are answered while a copy is prepared. Answers the highest revision of them. */
async function writeUntilItBreaks(http: HttpClient): Promise<number> {
  let last = 0;
  try {
    for (;;) last = Math.max(last, (await http.send('PUT', '/v1/kv/other/k', { body: 'x' })).revision);
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error;
    return last;
  }
}

async function durationOf(work: () => Promise<Answer>): Promise<number> {
  const beganMs = performance.now();
  expect((await work()).status).toBeLessThan(300);
  return performance.now() - beganMs;
}

const listed = async (http: HttpClient): Promise<string[]> =>
  jsonOf<{ snapshots: { id: string }[] }>(await http.send('GET', '/v1/snapshots')).snapshots.map(({ id }) => id);

async function killWhileRestoring(buckets: Buckets): Promise<void> {
  const random = seededRandom();
  const dataDir = tempDir('kv-restore');
  let kv = await start(dataDir, buckets);
  await writeAll(kv.http, 'old', buckets);
  const { id } = jsonOf<{ id: string }>(await kv.http.send('POST', '/v1/snapshots'));
  const restoreMs = await durationOf(() => kv.http.send('POST', `/v1/snapshots/${id}:restore`));
  const counts = new Map<string, number>();
  for (let round = 0; round < rounds(KILLS); round++) {
    await writeAll(kv.http, `new ${round}`, buckets);
    const { revision } = await kv.http.send('PUT', '/v1/kv/other/k', { body: 'x' });
    const restoring = kv.http.send('POST', `/v1/snapshots/${id}:restore`);
    const writing = writeUntilItBreaks(kv.http);
    // Every other kill around the switch, the one moment that counts.
    if (round % 2 === 0) await switched(dataDir);
    const status = await killDuring(kv, random() * (round % 2 === 0 ? 40 : restoreMs), restoring);
    const lastRevision = Math.max(revision, await writing);
    kv = await start(dataDir, buckets);
    const generation = await generationOf(kv.http, buckets);
    if (status === 200) expect(generation).toBe('old');
    expect(['old', `new ${round}`]).toContain(generation);
    counts.set(generation.slice(0, 3), (counts.get(generation.slice(0, 3)) ?? 0) + 1);
    const next = await kv.http.send('PUT', '/v1/kv/b/k0', { body: `${generation}${VALUE}` });
    expect(next.revision).toBeGreaterThan(lastRevision);
    expect(readdirSync(dataDir).filter((name) => /^g\d+$/.test(name))).toHaveLength(1);
  }
  await kv.kill();
  process.stderr.write(`kills while restoring left: ${JSON.stringify([...counts])}\n`);
}

describe('a service killed', () => {
  const promise =
    'while it goes back to a snapshot has all of the old state or of the new, and gives no revision twice';
  it(`${promise} (durable and write-back)`, () => killWhileRestoring(BOTH), roundsMs(KILLS));
  // Alone, because an engine that writes back is far ahead in revisions and would hide it when the other goes back.
  it(`${promise} (durable)`, () => killWhileRestoring(['b']), roundsMs(KILLS));

  it(
    'while it makes a snapshot lists whole ones only, and leaves no rest behind',
    async () => {
      const random = seededRandom();
      const dataDir = tempDir('kv-snapshot');
      let kv = await start(dataDir);
      await writeAll(kv.http, 'first');
      const makeMs = await durationOf(() => kv.http.send('POST', '/v1/snapshots'));
      for (let round = 0; round < rounds(KILLS); round++) {
        await writeAll(kv.http, `${round}`);
        const before = await listed(kv.http);
        const status = await killDuring(kv, random() * makeMs * 1.3, kv.http.send('POST', '/v1/snapshots'));
        kv = await start(dataDir);
        const ids = await listed(kv.http);
        expect(ids.length - before.length).toBeGreaterThanOrEqual(status === 201 ? 1 : 0);
        expect(foldersOf(dataDir)).toEqual(ids.sort());
      }
      for (const id of await listed(kv.http)) {
        expect((await kv.http.send('POST', `/v1/snapshots/${id}:restore`)).status).toBe(200);
        await generationOf(kv.http);
      }
      await kv.kill();
    },
    roundsMs(KILLS),
  );

  // A half that has the description and lacks the state would be a way back to nothing.
  it(
    'while it deletes a snapshot has it whole or not at all, and leaves no rest behind',
    async () => {
      const random = seededRandom();
      const dataDir = tempDir('kv-snapshot-delete');
      let kv = await start(dataDir);
      await writeAll(kv.http, 'first');
      for (let round = 0; round < rounds(KILLS); round++) {
        const { id } = jsonOf<{ id: string }>(await kv.http.send('POST', '/v1/snapshots'));
        const status = await killDuring(kv, random() * 5, kv.http.send('DELETE', `/v1/snapshots/${id}`));
        kv = await start(dataDir);
        const ids = await listed(kv.http);
        if (status === 204) expect(ids).not.toContain(id);
        expect(foldersOf(dataDir)).toEqual(ids.sort());
        if (ids.includes(id)) expect((await kv.http.send('POST', `/v1/snapshots/${id}:restore`)).status).toBe(200);
        expect(await generationOf(kv.http)).toBe('first');
      }
      await kv.kill();
    },
    roundsMs(KILLS),
  );
});

const foldersOf = (dataDir: string): string[] => readdirSync(join(dataDir, 'snapshots'), { encoding: 'utf8' }).sort();
