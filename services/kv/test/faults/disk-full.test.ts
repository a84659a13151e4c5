/** The disk fills up under load, at whatever moment that is: in a segment, while one is prepared, in a checkpoint. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, seededRandom } from '@plinth/testkit';
import { type Answer, type HttpClient, jsonOf, Unanswered } from './http-client.ts';
import { KvProcess, RESTLESS } from './kv-process.ts';
import { rounds, roundsMs } from './rounds.ts';
import { type FileSystem, SmallDisk } from './small-disk.ts';
import { expectMoment, Workload } from './workload.ts';

const FILLINGS = 2;
const LIFE_MS_MAX = 200;
const SIZE_MB = { tmpfs: 24, ext4: 48 } satisfies Record<FileSystem, number>;
/** Little enough to reach while the log still has room in files it keeps. */
const ENV = { ...RESTLESS, KV_PENDING_BYTES_MAX: '4194304' };

describe.each(['tmpfs', 'ext4'] as const)('a full disk (%s)', (type) => {
  let disk: SmallDisk | undefined;
  afterEach(() => disk?.unmount());

  it(
    'refuses writes as disk_full, goes on reading, loses nothing, and takes writes again once there is room',
    async () => {
      disk = SmallDisk.mount(type, SIZE_MB[type]);
      if (disk === undefined) return process.stderr.write(`not tested: ${type} may not be mounted here\n`);
      const random = seededRandom();
      const refused: Answer[] = [];
      const work = new Workload({ bucket: 'b', random, onRefused: (answer) => refused.push(answer) });
      const start = () => KvProcess.start({ dataDir: `${disk!.path}/kv`, env: ENV });
      let kv = await start();
      await kv.http.sendJson('PUT', '/v1/buckets/b', { historyRevisionsMax: 1_000 });
      for (let round = 0; round < rounds(FILLINGS); round++) {
        const stop = new AbortController();
        const working = work.run(kv.http, stop.signal);
        await sleep(random() * LIFE_MS_MAX);
        disk.fill(random.int(512) * 1_024);
        const growing = grow(kv.http, `more-${round}`, stop.signal);
        const told = () => `${work.acknowledged.length} written, refused: ${refused.map(codeOf)}`;
        await eventually(() => expect([refused.filter(isDiskFull).length >= 20, told()]).toEqual([true, told()]), {
          timeoutMs: 30_000,
        });
        const isKilled = round % 2 === 0;
        if (isKilled) await kv.kill();
        stop.abort();
        await Promise.all([working, growing]);
        // A service that died of a full disk starts on it, too.
        if (isKilled) kv = await start();
        if (isKilled) await work.settleByReading(kv.http);
        else await expectMoment(kv.http, work.moment());
        disk.free();
        await eventually(async () => (await kv.http.send('PUT', '/v1/kv/b/after', { body: 'x' })).status < 300);
        await eventually(async () => (await kv.http.send('GET', '/readyz')).status === 200);
        // A disk that is slow, as one that has just been filled is, may be too much to wait for as well.
        expect(['disk_full', 'overloaded']).toEqual(
          expect.arrayContaining([...new Set(refused.splice(0).map(codeOf))]),
        );
      }
      expect(await kv.stop()).toBe(0);
      kv = await start();
      await work.settle(kv.http);
      expect(await kv.stop()).toBe(0);
    },
    roundsMs(FILLINGS),
  );
});

/**
 * Writes key after key. What overwrites its keys alone may find room for ever in the files that it has: a store with free
 * pages and spare segments does not notice that the disk is full.
 */
async function grow(http: HttpClient, name: string, signal: AbortSignal): Promise<void> {
  const body = '.'.repeat(4_000);
  try {
    for (let count = 0; !signal.aborted; count++) {
      const { status } = await http.send('PUT', `/v1/kv/b/${name}-${count}`, { body });
      if (status >= 300) await sleep(10);
    }
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error;
  }
}

const codeOf = (answer: Answer): string => jsonOf<{ code: string }>(answer).code;

const isDiskFull = (answer: Answer): boolean => answer.status === 507 && codeOf(answer) === 'disk_full';
