import { connect, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { EventReader } from './event-reader.ts';
import { KvUnderTest } from './kv-under-test.ts';

const MIB = 1_048_576;

/** A watcher that reads when it is told to. */
class SlowWatcher {
  readonly #socket: Socket;
  #text = '';
  isClosed = false;

  constructor(port: number, path: string) {
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.on('data', (bytes) => {
      this.#text += bytes.toString('latin1');
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.isClosed = true;
    });
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  }

  begun = () => eventually(() => this.#text.includes(': watching'));
  stall = () => void this.#socket.pause();
  goOn = () => void this.#socket.resume();
  end = () => void this.#socket.destroy();

  get received(): string {
    return this.#text;
  }

  /** Of whole events. */
  get ids(): number[] {
    return [...this.#text.matchAll(/\nid: (\d+)\ndata: \{[^\n]*\}\n\n/g)].map(([, id]) => Number(id));
  }
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What a process holds on to; the pages of LMDB's file, which the system may take back, are not of it. */
function heldBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('a watcher that does not read', () => {
  test('costs no memory while 200 MiB go by, and is told `gone` when what it missed is compacted', async () => {
    // What the store keeps on purpose is not looked for here.
    const env = { KV_WATCH_STALL_MS: '60s', KV_CACHE_BYTES: '0', KV_CHECKPOINT_BYTES: '16MiB' };
    const kv = await new KvUnderTest({ env }).start();
    const first = await kv.wrote('/v1/kv/b/first', 'v');
    const watcher = new SlowWatcher(kv.port, '/v1/watch/b');
    await watcher.begun();
    watcher.stall();
    const value = Buffer.alloc(MIB, 'x');
    for (let at = 0; at < 8; at++) await kv.put('/v1/kv/b/warm', value);
    const before = heldBytes();
    // Buffers that are garbage are freed by another thread, which a busy machine may keep waiting; what is held stays.
    const isCheap = () => eventually(() => heldBytes() - before < 100 * MIB, { timeoutMs: 5_000 });
    for (let at = 0; at < 200; at++) {
      await kv.put(`/v1/kv/b/${at % 10}`, value);
      if (at % 20 === 19) await isCheap();
    }
    // Nor does one that comes late and has all of them before it.
    const late = new SlowWatcher(kv.port, `/v1/watch/b?since=${first}`);
    await late.begun();
    late.stall();
    await kv.put('/v1/kv/b/warm', value);
    await isCheap();
    late.end();
    await eventually(async () => /^plinth_kv_watchers 1$/m.test((await kv.get('/metrics')).text));
    await kv.post('/v1/kv/b:compact');
    watcher.goOn();
    await eventually(() => watcher.received.includes('event: gone'), { timeoutMs: 10_000 });
    expect(watcher.received).toMatch(/"code":"revision_compacted"[^\n]*"compactedRevision":\d+/);
    // It was told what it could take before, and the socket holds a few MiB.
    expect(watcher.received.length).toBeLessThan(60 * MIB);
    watcher.end();
    await kv.stop();
    expect(kv.faults).toEqual([]);
  });

  test('is cut off after KV_WATCH_STALL_MS, and resumes with the last id it got without a loss', async () => {
    const kv = await new KvUnderTest({ env: { KV_WATCH_STALL_MS: '400ms' } }).start();
    const first = await kv.wrote('/v1/kv/b/first', 'v');
    const watcher = new SlowWatcher(kv.port, `/v1/watch/b?since=${first}`);
    await watcher.begun();
    watcher.stall();
    const revisions: number[] = [];
    for (let at = 0; at < 40; at++) revisions.push(await kv.wrote(`/v1/kv/b/${at}`, Buffer.alloc(MIB / 2, 'x')));
    await eventually(async () => /^plinth_kv_watchers 0$/m.test((await kv.get('/metrics')).text));
    watcher.goOn();
    await eventually(() => watcher.isClosed);
    const before = watcher.ids;
    expect(before.length).toBeLessThan(40);
    const resumed = await EventReader.open(`${kv.url}/v1/watch/b?values=false`, {
      'last-event-id': String(before.at(-1) ?? first),
    });
    const after = (await resumed.untilChanges(40 - before.length)).map(({ revision }) => revision);
    expect([...before, ...after]).toEqual(revisions);
    resumed.close();
    await kv.stop();
    expect(kv.faults).toEqual([]);
  });

  test('does not slow down the writers or the other watchers', async () => {
    const kv = await new KvUnderTest().start();
    await kv.bucket('b');
    const slow = new SlowWatcher(kv.port, '/v1/watch/b');
    await slow.begun();
    slow.stall();
    const quick = await EventReader.open(`${kv.url}/v1/watch/b?values=false`);
    for (let at = 0; at < 30; at++) await kv.wrote(`/v1/kv/b/${at}`, Buffer.alloc(MIB / 2, 'x'));
    expect(await quick.untilChanges(30, 2_000)).toHaveLength(30);
    quick.close();
    slow.end();
    await kv.stop();
  });

  test('one that only pauses goes on where it was, and has every event once', async () => {
    const kv = await new KvUnderTest({ env: { KV_WATCH_STALL_MS: '30s' } }).start();
    await kv.bucket('b');
    const watcher = new SlowWatcher(kv.port, '/v1/watch/b');
    await watcher.begun();
    watcher.stall();
    const revisions: number[] = [];
    for (let at = 0; at < 40; at++) revisions.push(await kv.wrote(`/v1/kv/b/${at}`, Buffer.alloc(MIB / 2, 'x')));
    watcher.goOn();
    await eventually(() => watcher.ids.length === 40);
    expect(watcher.ids).toEqual(revisions);
    watcher.end();
    await kv.stop();
  });
});
