/** What callers are told when the process ends under them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { seededRandom, tempDir } from '@plinth/testkit';
import { type Answer, type HttpClient, jsonOf, Unanswered } from './http-client.ts';
import { KvProcess, RESTLESS } from './kv-process.ts';
import { Workload } from './workload.ts';

const STOPS = 2;
const STOP_MS_MAX = 5_000;
const IN_FLIGHT = 40;
const STOPPING = { KV_SHUTDOWN_TIMEOUT_MS: `${STOP_MS_MAX}ms` };

describe('SIGTERM under load', () => {
  it('answers or refuses every request of callers who leave when told to, keeps all, and exits with 0 in time', async () => {
    const random = seededRandom();
    const dataDir = tempDir('kv-stop');
    const refused: Answer[] = [];
    const work = new Workload({ bucket: 'b', random, onRefused: (answer) => refused.push(answer) });
    for (let round = 0; round < STOPS; round++) {
      const kv = await KvProcess.start({ dataDir, env: { ...RESTLESS, ...STOPPING } });
      await work.settle(kv.http);
      const working = work.run(kv.http, new AbortController().signal);
      await sleep(100 + random() * 200);
      const beganMs = performance.now();
      expect(await kv.stop()).toBe(0);
      expect(performance.now() - beganMs).toBeLessThan(STOP_MS_MAX);
      await working;
      expect(kv.process.lines.at(-1)).toMatch(/"msg":"stopped"/);
      for (const answer of refused.splice(0)) expect(jsonOf(answer)).toMatchObject({ status: 503, retryable: 'safe' });
      const unknown = work.keys.filter(({ attempt }) => attempt !== undefined);
      expect(unknown.map(({ key }) => key)).toEqual([]);
    }
    const kv = await KvProcess.start({ dataDir, env: RESTLESS });
    await work.settle(kv.http);
    await kv.kill();
  });
});

describe('a request in flight at SIGKILL', () => {
  it('breaks, or was done: it never succeeds without having happened', async () => {
    const random = seededRandom();
    const dataDir = tempDir('kv-in-flight');
    for (let round = 0; round < STOPS; round++) {
      const first = await KvProcess.start({ dataDir, env: RESTLESS });
      const sent = Array.from({ length: IN_FLIGHT }, (_, at) => outcomeOf(first.http, `/v1/kv/b/r${round}-${at}`));
      await sleep(random() * 15);
      await first.kill();
      const outcomes = await Promise.all(sent);
      const second = await KvProcess.start({ dataDir, env: RESTLESS });
      for (const { path, outcome } of outcomes) {
        const found = await second.http.send('GET', path);
        if (outcome === 'broken') continue;
        expect([found.status, found.revision]).toEqual([200, outcome]);
      }
      await second.kill();
    }
  });

  it('that never reached the disk sees a broken connection, not an answer', async () => {
    const kv = await KvProcess.start({ dataDir: tempDir('kv-frozen') });
    await kv.http.send('PUT', '/v1/kv/b/before', { body: 'x' });
    await kv.freeze();
    const sent = outcomeOf(kv.http, '/v1/kv/b/k');
    await sleep(50);
    await kv.kill();
    expect((await sent).outcome).toBe('broken');
  });
});

/** The revision that was answered, or that there was none. */
async function outcomeOf(http: HttpClient, path: string): Promise<{ path: string; outcome: number | 'broken' }> {
  try {
    const { status, revision } = await http.send('PUT', path, { body: 'x'.repeat(2_000) });
    expect(status).toBe(201);
    return { path, outcome: revision };
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error;
    return { path, outcome: 'broken' };
  }
}
