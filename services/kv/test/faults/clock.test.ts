/** The wall clock is set back while the service runs, and while it does not. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ChangeEvent } from '@plinth/contracts/kv';
import { eventually, tempDir } from '@plinth/testkit';
import { jsonOf } from './http-client.ts';
import { KvProcess, RESTLESS } from './kv-process.ts';

const PRELOAD = new URL('./shifted-clock.mjs', import.meta.url).href;
const HOUR_MS = 3_600_000;

describe('a clock that is set back', () => {
  let dataDir: string;
  let shiftFile: string;

  beforeEach(() => {
    dataDir = tempDir('kv-clock');
    shiftFile = join(tempDir('kv-clock-shift'), 'ms');
    setClock(0);
  });

  const setClock = (ms: number): void => writeFileSync(shiftFile, String(ms));
  const start = () =>
    KvProcess.start({
      dataDir,
      env: { ...RESTLESS, NODE_OPTIONS: `--import ${PRELOAD}`, CLOCK_SHIFT_FILE: shiftFile },
    });
  const timesOf = async (kv: KvProcess): Promise<{ revisions: number[]; times: number[] }> => {
    const page = jsonOf<{ events: ChangeEvent[] }>(await kv.http.send('GET', '/v1/kv/b:changes?since=0&limit=9999'));
    const times = page.events.map(({ modifiedAt }) => Date.parse(modifiedAt));
    return { revisions: page.events.map(({ revision }) => revision), times };
  };

  it('keeps writes going, revisions growing and the times of records in their order', async () => {
    let kv = await start();
    for (const shiftMs of [0, -HOUR_MS, -24 * HOUR_MS, 0, HOUR_MS, -HOUR_MS]) {
      setClock(shiftMs);
      await sleep(20);
      for (let at = 0; at < 10; at++) {
        expect((await kv.http.send('PUT', '/v1/kv/b/k', { body: `${at}` })).status).toBeLessThan(300);
      }
      if (shiftMs === -24 * HOUR_MS) {
        await kv.kill();
        kv = await start();
      }
    }
    const { revisions, times } = await timesOf(kv);
    expect(revisions).toEqual(Array.from({ length: 60 }, (_, at) => at + 1));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    await kv.kill();
  });

  it('takes nothing away before its time, and nothing that was gone comes back', async () => {
    let kv = await start();
    await kv.http.send('PUT', '/v1/kv/b/short', { body: 'x', headers: { 'kv-ttl': '200ms' } });
    await eventually(async () => (await kv.http.send('GET', '/v1/kv/b/short')).status === 404);
    await kv.http.send('PUT', '/v1/kv/b/long', { body: 'x', headers: { 'kv-ttl': '1h' } });
    setClock(-24 * HOUR_MS);
    await sleep(20);
    for (const again of [false, true]) {
      if (again) await kv.kill();
      if (again) kv = await start();
      expect((await kv.http.send('GET', '/v1/kv/b/short')).status).toBe(404);
      expect((await kv.http.send('GET', '/v1/kv/b/long')).status).toBe(200);
    }
    await kv.kill();
  });

  it('lets an entry that is written then live as long as it was told to', async () => {
    const kv = await start();
    await kv.http.send('PUT', '/v1/kv/b/before', { body: 'x' });
    setClock(-HOUR_MS);
    await sleep(20);
    await kv.http.send('PUT', '/v1/kv/b/k', { body: 'x', headers: { 'kv-ttl': '500ms' } });
    expect((await kv.http.send('GET', '/v1/kv/b/k')).status).toBe(200);
    await eventually(async () => (await kv.http.send('GET', '/v1/kv/b/k')).status === 404, { timeoutMs: 1_500 });
    await kv.kill();
  });

  it('shows the past as it was, and the present for a time that has not come again', async () => {
    const kv = await start();
    await kv.http.send('PUT', '/v1/kv/b/k', { body: 'first' });
    await sleep(30);
    const between = new Date().toISOString();
    await sleep(30);
    await kv.http.send('PUT', '/v1/kv/b/k', { body: 'second' });
    setClock(-HOUR_MS);
    await sleep(20);
    await kv.http.send('PUT', '/v1/kv/b/k', { body: 'third' });
    const at = async (time: string): Promise<string> =>
      (await kv.http.send('GET', `/v1/kv/b/k?at=${time}`)).body.toString();
    expect(await at(between)).toBe('first');
    expect(await at(new Date(Date.now() + 1_000).toISOString())).toBe('third');
    const early = await kv.http.send('GET', `/v1/kv/b/k?at=${new Date(Date.now() - HOUR_MS).toISOString()}`);
    expect(early.status).toBe(404);
    await kv.kill();
  });
});
