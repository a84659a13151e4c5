import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Client, createClient, type KvBucket, type Watch, type WatchItem } from '../src/client.ts';
import { answer, ndjson, problem, reset, ScriptedServer, silence } from './scripted-server.ts';

const put = (revision: number, key: string, more?: true) => ({ type: 'put', key, value: key, revision, more });
const initial = (revision: number, key: string) => ({ ...put(revision, key), initial: true });
const progress = (revision: number) => ({ type: 'progress', revision });
const sync = (revision: number) => ({ type: 'sync', revision });
const gone = { type: 'gone', problem: { code: 'revision_compacted', detail: 'it is no longer kept' } };
const stay = { ending: 'stay' } as const;

let server: ScriptedServer;
let client: Client;
let bucket: KvBucket;

beforeAll(async () => {
  server = await ScriptedServer.start();
});
afterAll(() => server.stop());
beforeEach(() => {
  client = createClient({ url: server.url });
  bucket = client.kv.bucket('demo');
});
afterEach(() => client.close());

/** The first items, in short: `7:a,b`. */
async function first(count: number, watch: Watch): Promise<string[]> {
  const items: string[] = [];
  for await (const item of watch) {
    items.push(inShort(item));
    if (items.length === count) break;
  }
  return items;
}

function inShort({ type, revision, events }: WatchItem): string {
  const what = `${revision}:${events.map(({ key }) => key).join()}`;
  return type === 'revision' ? what : `${type} ${what}`;
}

const querys = () => server.requests.map(({ url }) => url.slice('/v1/watch/demo'.length));

describe('a watch', () => {
  test('hands out whole revisions, in order, however the bytes are cut', async () => {
    const lines = [put(1, 'ä'), put(2, 'a', true), put(2, 'b', true), put(2, 'c'), progress(9), put(10, '🧀')];
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    server.script(async (response) => {
      response.writeHead(200, { 'kv-revision': '0' });
      for (const byte of bytes) {
        response.write(Uint8Array.of(byte));
        await new Promise(setImmediate);
      }
    });
    expect(await first(3, bucket.watch({ since: 0 }))).toEqual(['1:ä', '2:a,b,c', '10:🧀']);
    expect(server.requests[0]).toMatchObject({ method: 'GET', headers: { accept: 'application/x-ndjson' } });
  });

  test('goes on after the last whole revision when the connection breaks in the middle of one', async () => {
    server.script(
      ndjson([put(1, 'a'), put(2, 'b', true)], { ending: 'reset' }),
      ndjson([put(2, 'b', true), put(2, 'c'), put(3, 'd')], stay),
    );
    expect(await first(3, bucket.watch({ since: 0 }))).toEqual(['1:a', '2:b,c', '3:d']);
    expect(querys()).toEqual(['?since=0', '?since=1']);
  });

  test('goes on from its bookmarks, and when the service ends it', async () => {
    server.script(
      ndjson([progress(40)], { ending: 'end' }),
      ndjson([{ type: 'end', revision: 50, reason: 'stopping' }], { ending: 'end' }),
      ndjson([put(51, 'a')], stay),
    );
    expect(await first(1, bucket.watch({ since: 0 }))).toEqual(['51:a']);
    expect(querys()).toEqual(['?since=0', '?since=40', '?since=50']);
  });

  test('from now on begins where its first connection did, not where its second does', async () => {
    server.script(ndjson([], { ending: 'end', revision: 7 }), ndjson([put(8, 'a')], { ...stay, revision: 9 }));
    expect(await first(1, bucket.watch())).toEqual(['8:a']);
    expect(querys()).toEqual(['', '?since=7']);
  });

  test('stands when it is opened, and knows its place', async () => {
    server.script(ndjson([put(8, 'a')], { ...stay, revision: 7 }));
    const watch = await bucket.watch().opened();
    expect(watch.revision).toBe(7);
    expect(await first(1, watch)).toEqual(['8:a']);
    expect(watch.revision).toBe(8);
    expect(server.requests).toHaveLength(1);
  });

  test('outlives a service that is away for a while, once it stood', async () => {
    const busy = problem(503, 'overloaded');
    server.script(
      ndjson([put(1, 'a')], { ending: 'end' }),
      reset,
      busy,
      reset,
      reset,
      busy,
      ndjson([put(2, 'b')], stay),
    );
    expect(await first(2, bucket.watch({ since: 0 }))).toEqual(['1:a', '2:b']);
  });

  test('that cannot be opened says why', async () => {
    server.script(problem(404, 'bucket_not_found'));
    await expect(first(1, bucket.watch())).rejects.toMatchObject({ code: 'bucket_not_found' });
    server.script(reset);
    const impatient = createClient({ url: server.url, retries: 1 });
    await expect(first(1, impatient.kv.bucket('demo').watch())).rejects.toMatchObject({ code: 'unavailable' });
    expect(server.requests).toHaveLength(2);
  });

  test('ends with the reason of its signal, reading or waiting', async () => {
    for (const step of [ndjson([put(1, 'a')], stay), ndjson([put(1, 'a')], { ending: 'end' })]) {
      server.script(step, silence);
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error('enough')), 40);
      const watch = bucket.watch({ since: 0, signal: controller.signal });
      await expect(first(2, watch)).rejects.toThrow('enough');
    }
  });

  test('closes its connection when the loop is left', async () => {
    const closed = new Promise((resolve) => {
      server.script((response, request) => {
        response.socket!.once('close', resolve);
        return ndjson([put(1, 'a')], stay)(response, request);
      });
    });
    await first(1, bucket.watch({ since: 0 }));
    await closed;
  });

  test('ends when the client is closed', async () => {
    server.script(ndjson([put(1, 'a')], stay));
    setTimeout(() => client.close(), 40);
    await expect(first(2, bucket.watch({ since: 0 }))).rejects.toThrow('this client is closed');
  });
});

describe('a place that is no longer kept', () => {
  test('is a problem, at the door and in the stream', async () => {
    server.script(problem(410, 'revision_compacted'));
    await expect(first(1, bucket.watch({ since: 1 }))).rejects.toMatchObject({ code: 'revision_compacted' });
    server.script(ndjson([put(2, 'a'), gone], stay));
    await expect(first(2, bucket.watch({ since: 1 }))).rejects.toMatchObject({
      code: 'revision_compacted',
      message: 'it is no longer kept',
    });
  });

  test('is begun anew with resync: reset, the present state, sync, changes', async () => {
    server.script(
      problem(410, 'revision_compacted'),
      ndjson([initial(3, 'a'), initial(5, 'b'), sync(9), put(10, 'c'), gone], stay),
      ndjson([initial(10, 'c'), sync(20)], stay),
    );
    expect(await first(8, bucket.watch({ since: 1, resync: true }))).toEqual([
      'reset 1:',
      'initial 3:a',
      'initial 5:b',
      'sync 9:',
      '10:c',
      'reset 10:',
      'initial 10:c',
      'sync 20:',
    ]);
    expect(querys()).toEqual(['?since=1', '?initial=true', '?initial=true']);
  });
});

describe('the present state', () => {
  test('comes first, then sync, then changes', async () => {
    server.script(ndjson([initial(3, 'a'), sync(9), put(10, 'c')], stay));
    const watch = bucket.watch({ initial: true, prefix: 'x/', values: false, previous: true });
    expect(await first(3, watch)).toEqual(['initial 3:a', 'sync 9:', '10:c']);
    expect(querys()).toEqual(['?prefix=x%2F&values=false&previous=true&initial=true']);
  });

  test('that broke off in the middle begins anew, since nobody would tell what was deleted meanwhile', async () => {
    server.script(ndjson([initial(3, 'a')], { ending: 'reset' }), ndjson([initial(4, 'b'), sync(9)], stay));
    const items = await first(4, bucket.watch({ initial: true }));
    expect(items).toEqual(['initial 3:a', 'reset 0:', 'initial 4:b', 'sync 9:']);
  });

  test('and a place in the past exclude each other', () => {
    expect(() => bucket.watch({ initial: true, since: 1 })).toThrow(TypeError);
  });
});

test('a stream that is no NDJSON ends the watch instead of being asked for ever', async () => {
  server.script(answer(200, { 'kv-revision': '1' }, '<html>\n'));
  await expect(first(1, bucket.watch())).rejects.toMatchObject({ code: 'internal' });
});

test('an export that breaks off is a problem, not a shorter export', async () => {
  server.script(ndjson([{ key: 'a', value: 'x', revision: 1 }], { ending: 'reset' }));
  const keys: string[] = [];
  const read = async () => {
    for await (const entry of bucket.export()) keys.push(entry.key);
  };
  await expect(read()).rejects.toMatchObject({ code: 'unavailable' });
  expect(keys).toEqual(['a']);
});
