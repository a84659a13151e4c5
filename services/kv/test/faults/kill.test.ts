/** The process is killed under load, over and over, and starts again on the folder it left. */
import { describe, expect, it } from '@jest/globals';
import { eventually, seededRandom, tempDir } from '@plinth/testkit';
import { KvProcess, RESTLESS, SLUGGISH } from './kv-process.ts';
import { rounds, roundsMs } from './rounds.ts';
import { Watcher } from './watcher.ts';
import { Workload } from './workload.ts';

const KILLS = 15;
/** From a kill at the first answer to one behind several checkpoints. */
const ANSWERS_MAX = 400;

describe('a service killed under load', () => {
  it(
    'finds every acknowledged write at its revision, the others whole or not at all, and watches miss nothing',
    async () => {
      const random = seededRandom();
      const dataDir = tempDir('kv-kill');
      let kv: KvProcess;
      let answersLeft = Infinity;
      // At the very answer: what it says must be in the log by then.
      const onAcknowledged = () => --answersLeft === 0 && kv.process.child.kill('SIGKILL');
      const work = new Workload({ bucket: 'b', random, valueBytesMax: 30_000, onAcknowledged });
      const watcher = new Watcher('b');
      kv = await KvProcess.start({ dataDir, env: RESTLESS });
      await kv.http.sendJson('PUT', '/v1/buckets/b', {});
      for (let round = 0; round < rounds(KILLS); round++) {
        answersLeft = 1 + random.int(ANSWERS_MAX);
        const { signal } = new AbortController();
        await Promise.all([work.run(kv.http, signal), watcher.follow(kv.http), kv.process.exited]);
        kv = await KvProcess.start({ dataDir, env: random.pick([RESTLESS, SLUGGISH]) });
        await work.settle(kv.http);
      }
      const watching = watcher.follow(kv.http);
      await eventually(() => watcher.reached >= work.lastRevision, { timeoutMs: 20_000 });
      expect(await kv.stop()).toBe(0);
      await watching;
      watcher.assertWhole(work.acknowledged);
      process.stderr.write(`${rounds(KILLS)} kills, ${work.acknowledged.length} acknowledged writes\n`);
    },
    roundsMs(KILLS),
  );
});
