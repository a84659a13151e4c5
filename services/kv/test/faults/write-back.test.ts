/** Buckets that promise less: `write-back` may lose what its `flushMs` allows, `cache` everything but its revisions. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import type { ChangeEvent } from '@plinth/contracts/kv';
import { seededRandom, tempDir } from '@plinth/testkit';
import { type HttpClient, jsonOf } from './http-client.ts';
import { KvProcess, RESTLESS } from './kv-process.ts';
import { copyFolder, losePower } from './power-loss.ts';
import { rounds, roundsMs } from './rounds.ts';
import { Watcher } from './watcher.ts';
import { Workload } from './workload.ts';

const KILLS = 2;
const LOSSES = 2;
const FLUSH_MS = 100;
/** For the flush itself, on a disk that others use too. */
const FLUSH_GRACE_MS = 700;

/** Neither a change of segment nor a checkpoint comes before the flush. */
const QUIET = { KV_CHECKPOINT_INTERVAL_MS: '600s' };

async function startWith(
  dataDir: string,
  settings: object,
  env: Record<string, string> = RESTLESS,
): Promise<KvProcess> {
  const kv = await KvProcess.start({ dataDir, env });
  expect((await kv.http.sendJson('PUT', '/v1/buckets/b', settings)).status).toBe(201);
  return kv;
}

describe('a write-back bucket', () => {
  it(
    'loses nothing that was answered when the process is killed',
    async () => {
      const dataDir = tempDir('kv-write-back');
      const work = new Workload({ bucket: 'b', random: seededRandom() });
      const watcher = new Watcher('b');
      let kv = await startWith(dataDir, { mode: 'write-back', flushMs: 60_000 });
      for (let round = 0; round < rounds(KILLS); round++) {
        const running = [work.run(kv.http, new AbortController().signal), watcher.follow(kv.http)];
        await sleep(200);
        await kv.kill();
        await Promise.all(running);
        kv = await KvProcess.start({ dataDir, env: RESTLESS });
        await work.settle(kv.http);
      }
      const watching = watcher.follow(kv.http);
      await sleep(200);
      await kv.stop();
      await watching;
      watcher.assertWhole(work.acknowledged, { isGapless: false });
    },
    roundsMs(KILLS),
  );

  it(
    'loses at most the last flushMs when the power goes: a prefix is left, and no revision is given twice',
    async () => {
      for (let round = 0; round < rounds(LOSSES); round++) {
        const random = seededRandom();
        const dataDir = tempDir('kv-write-back-power');
        const work = new Workload({ bucket: 'b', random, counts: { putWithTtl: 0 } });
        const settings = { mode: 'write-back', flushMs: FLUSH_MS };
        const kv = await startWith(dataDir, settings, round % 2 === 0 ? QUIET : RESTLESS);
        const working = work.run(kv.http, new AbortController().signal);
        await sleep(FLUSH_MS + FLUSH_GRACE_MS + random() * 500);
        await kv.freeze();
        const frozenMs = Date.now();
        const { lastRevision } = work;
        const copy = tempDir('kv-write-back-copy');
        copyFolder({ source: dataDir, target: copy });
        const losing = { random, wasAnswered: () => false };
        const loss = await losePower(`${copy}/g1/write-back`, { ...losing, syncsLater: true });
        await losePower(`${copy}/g1/durable`, { ...losing, wasAnswered: () => true });
        expect(loss.unsyncedFromMs).toBeGreaterThan(frozenMs - FLUSH_MS - FLUSH_GRACE_MS);
        await kv.kill();
        await working;
        const end = await expectPrefix(copy, work, lastRevision);
        process.stderr.write(`of ${lastRevision} revisions the power loss (log ${loss.log}) left ${end}\n`);
      }
    },
    roundsMs(LOSSES),
  );
});

/** Everything up to some revision is there, nothing behind it, and what comes next is behind all that was answered. */
async function expectPrefix(dataDir: string, work: Workload, lastRevision: number): Promise<number> {
  const kv = await KvProcess.start({ dataDir, env: RESTLESS });
  const left = await changesOf(kv.http);
  expect(left.map(({ revision }) => revision)).toEqual(expectedRevisions(left));
  const end = left.at(-1)?.revision ?? 0;
  const found = new Map(left.map((event) => [`${event.revision} ${event.key}`, event.value]));
  for (const { revision, key, value } of work.acknowledged) {
    if (revision <= end) expect(found.get(`${revision} ${key}`)).toBe(value);
  }
  const next = await kv.http.send('PUT', '/v1/kv/b/next', { body: 'the next' });
  expect(next.revision).toBeGreaterThan(lastRevision);
  await kv.kill();
  return end;
}

/** One after the other; a transaction has three events of one revision. */
function expectedRevisions(events: readonly ChangeEvent[]): number[] {
  let revision = 0;
  return [...events.keys()].map((at) => (events[at - 1]?.more ? revision : ++revision));
}

async function changesOf(http: HttpClient): Promise<ChangeEvent[]> {
  const events: ChangeEvent[] = [];
  for (let since = 0; ; ) {
    const answer = await http.send('GET', `/v1/kv/b:changes?since=${since}&limit=5000`);
    const page = jsonOf<{ events: ChangeEvent[]; revision: number; more: boolean }>(answer);
    events.push(...page.events);
    if (!page.more) return events;
    since = page.revision;
  }
}

describe('a cache bucket', () => {
  it('is empty after a restart, gives no revision again, and its ETags work as preconditions', async () => {
    const dataDir = tempDir('kv-cache');
    let kv = await startWith(dataDir, { mode: 'cache', bytesMax: 10_000_000 });
    let last = 0;
    for (const end of ['kill', 'stop', 'kill'] as const) {
      expect((await kv.http.send('GET', '/v1/kv/b/k')).status).toBe(404);
      for (let at = 0; at < 50; at++) {
        const { revision } = await kv.http.send('PUT', '/v1/kv/b/k', { body: `${at}` });
        expect(revision).toBeGreaterThan(last);
        last = revision;
      }
      const matched = await kv.http.send('PUT', '/v1/kv/b/k', { body: 'x', headers: { 'if-match': `"${last}"` } });
      expect(matched.status).toBe(204);
      last = matched.revision;
      await kv[end]();
      kv = await KvProcess.start({ dataDir });
    }
    await kv.kill();
  });

  it('gives no revision again even when the clock has gone back a day', async () => {
    const dataDir = tempDir('kv-cache-clock');
    let kv = await startWith(dataDir, { mode: 'cache', bytesMax: 10_000_000 });
    const { revision } = await kv.http.send('PUT', '/v1/kv/b/k', { body: 'x' });
    await kv.kill();
    kv = await KvProcess.start({ dataDir, env: { NODE_OPTIONS: clockShiftedBy(-86_400_000) } });
    expect((await kv.http.send('PUT', '/v1/kv/b/k', { body: 'x' })).revision).toBeGreaterThan(revision);
    await kv.kill();
  });
});

function clockShiftedBy(ms: number): string {
  const source = `const real = Date.now; Date.now = () => real() + (${ms});`;
  return `--import data:text/javascript,${encodeURIComponent(source)}`;
}
