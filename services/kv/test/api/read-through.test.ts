import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually, ManualClock } from '@plinth/testkit';
import { problemIn, withKv } from './kv-under-test.ts';

const clock = new ManualClock();
const kv = withKv({ now: clock.now });

/** An origin that answers what the test tells it to. */
let server: Server;
let url = '';
let asked: string[] = [];
let respond: (req: IncomingMessage, res: ServerResponse) => void;
const answer = (status: number, body = '', headers: Record<string, string> = {}) => {
  respond = (_, res) => void res.writeHead(status, headers).end(body);
};

beforeAll(async () => {
  server = createServer((req, res) => {
    asked.push(req.url!);
    respond(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/items/`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

beforeEach(() => {
  asked = [];
  answer(200, 'from the origin', { 'content-type': 'text/plain' });
});

let count = 0;
/** A bucket of its own for each test. @returns Its path. */
async function bucket(origin: Record<string, unknown> = {}, settings: Record<string, unknown> = {}): Promise<string> {
  const name = `rt${++count}`;
  await kv.bucket(name, { mode: 'read-through', bytesMax: 1_000_000, ...settings, origin: { url, ...origin } });
  return `/v1/kv/${name}`;
}

const cache = ({ headers }: { headers: Headers }) => [headers.get('kv-cache'), headers.get('age')];

describe('read-through buckets', () => {
  test('a missing key is fetched, kept with its type while it is fresh, and fetched anew after that', async () => {
    const path = await bucket({ ttlMs: 10_000 });
    const miss = await kv.get(`${path}/a`);
    expect([miss.status, miss.text, miss.headers.get('content-type')]).toEqual([200, 'from the origin', 'text/plain']);
    expect(cache(miss)).toEqual(['miss', '0']);
    clock.advance(9_999);
    expect(cache(await kv.get(`${path}/a`))).toEqual(['hit', '9']);
    expect(asked).toEqual(['/items/a']);
    clock.advance(1);
    answer(200, 'newer');
    const again = await kv.get(`${path}/a`);
    expect([again.text, ...cache(again)]).toEqual(['newer', 'miss', '0']);
    expect(asked).toHaveLength(2);
  });

  test('ETags, conditions, ranges, head and lists work as in any bucket', async () => {
    const path = await bucket();
    const etag = (await kv.get(`${path}/a`)).headers.get('etag')!;
    expect((await kv.get(`${path}/a`, { 'if-none-match': etag })).status).toBe(304);
    expect((await kv.get(`${path}/a`, { range: 'bytes=0-3' })).text).toBe('from');
    expect((await kv.head(`${path}/b`)).headers.get('content-length')).toBe('15');
    expect((await kv.get(path)).json.items).toHaveLength(2);
  });

  test('the key goes to the origin percent-encoded, slashes as they are, and cannot leave its path', async () => {
    const path = await bucket();
    await kv.get(`${path}/${encodeURIComponent('a b/é?x=1#y%')}`);
    await kv.get(`${path}/%ff`);
    await kv.get(`${path}//host/path`);
    expect(asked).toEqual(['/items/a%20b/%C3%A9%3Fx=1%23y%25', '/items/%FF', '/items//host/path']);
    problemIn(await kv.get(`${path}/..%2fsecret`), 400, 'invalid_key');
  });

  test('a hundred who ask at once cause one fetch', async () => {
    const path = await bucket();
    respond = (_, res) => void setTimeout(() => res.end('slow'), 200);
    const answers = await Promise.all(Array.from({ length: 100 }, () => kv.get(`${path}/a`)));
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['slow']));
    expect(asked).toHaveLength(1);
  });

  test('that the origin has no such key is believed for negativeTtlMs, and no longer', async () => {
    const path = await bucket({ negativeTtlMs: 5_000 });
    answer(404);
    problemIn(await kv.get(`${path}/a`), 404, 'key_not_found');
    clock.advance(4_999);
    problemIn(await kv.get(`${path}/a`), 404, 'key_not_found');
    expect(asked).toHaveLength(1);
    clock.advance(1);
    answer(200, 'there now');
    expect((await kv.get(`${path}/a`)).text).toBe('there now');
  });

  test('with negativeTtlMs 0 every read asks, and 410 counts as 404', async () => {
    const path = await bucket({ negativeTtlMs: 0 });
    answer(410);
    for (let at = 0; at < 3; at++) problemIn(await kv.get(`${path}/a`), 404, 'key_not_found');
    expect(asked).toHaveLength(3);
  });

  test('a key that its origin has lost is lost here too, once it is no longer fresh', async () => {
    const path = await bucket({ ttlMs: 1_000, staleIfErrorMs: 60_000 });
    await kv.get(`${path}/a`);
    answer(404);
    clock.advance(1_000);
    problemIn(await kv.get(`${path}/a`), 404, 'key_not_found');
    expect((await kv.get(path)).json.items).toEqual([]);
  });

  test('stale-while-revalidate: the old answer at once, the new one fetched once behind it', async () => {
    const path = await bucket({ ttlMs: 1_000, staleWhileRevalidateMs: 10_000 });
    await kv.get(`${path}/a`);
    answer(200, 'newer');
    clock.advance(2_000);
    const stale = await Promise.all(Array.from({ length: 10 }, () => kv.get(`${path}/a`)));
    expect(stale.map(({ text }) => text)).toEqual(Array(10).fill('from the origin'));
    expect(cache(stale[0]!)).toEqual(['stale', '2']);
    await eventually(async () => (await kv.get(`${path}/a`)).text === 'newer');
    expect(asked).toHaveLength(2);
    clock.advance(11_000);
    answer(200, 'newest');
    expect((await kv.get(`${path}/a`)).text).toBe('newest');
  });

  test('stale-if-error: the old answer while the origin fails, for so long and no longer', async () => {
    const path = await bucket({ ttlMs: 1_000, staleIfErrorMs: 10_000 });
    await kv.get(`${path}/a`);
    answer(500);
    clock.advance(10_999);
    const stale = await kv.get(`${path}/a`);
    expect([stale.text, ...cache(stale)]).toEqual(['from the origin', 'stale-if-error', '10']);
    clock.advance(1);
    problemIn(await kv.get(`${path}/a`), 502, 'upstream_failed');
  });

  test.each([500, 503, 403, 204, 206])(
    'an origin that answers %d has failed: 502, and nothing is kept',
    async (status) => {
      const path = await bucket();
      answer(status, status === 204 ? '' : 'secret of the origin');
      const failed = await kv.get(`${path}/a`);
      const body = problemIn(failed, 502, 'upstream_failed');
      expect(body.detail).toContain(String(status));
      expect(failed.text).not.toContain('secret');
      expect(failed.headers.get('retry-after')).toBe('1');
      answer(200, 'well again');
      expect((await kv.get(`${path}/a`)).text).toBe('well again');
    },
  );

  test('a redirect is not followed', async () => {
    const path = await bucket();
    respond = (req, res) =>
      void (req.url === '/items/a' ? res.writeHead(302, { location: '/items/b' }).end() : res.end('followed'));
    expect(problemIn(await kv.get(`${path}/a`), 502, 'upstream_failed').detail).toContain('302');
    expect(asked).toEqual(['/items/a']);
  });

  test('an answer above valueBytesMax is refused, declared or not, before it is read whole', async () => {
    const path = await bucket({}, { valueBytesMax: 1_000 });
    answer(200, 'x'.repeat(1_000));
    expect((await kv.get(`${path}/fits`)).bytes.length).toBe(1_000);
    answer(200, 'x'.repeat(1_001));
    problemIn(await kv.get(`${path}/declared`), 502, 'upstream_failed');
    let sent = 0;
    respond = (_, res) => {
      const more = () => {
        while (!res.destroyed && sent < 100_000_000 && res.write('x'.repeat(100_000))) sent += 100_000;
      };
      res.on('drain', more);
      more();
    };
    problemIn(await kv.get(`${path}/endless`), 502, 'upstream_failed');
    expect(sent).toBeLessThan(50_000_000);
  });

  test('an origin that is slow, breaks off, or is not there is a 502 too', async () => {
    const path = await bucket({ timeoutMs: 100 });
    respond = () => {};
    problemIn(await kv.get(`${path}/slow`), 502, 'upstream_failed');
    respond = (_, res) => void res.writeHead(200, { 'content-length': '100' }).write('half');
    problemIn(await kv.get(`${path}/stalls`), 502, 'upstream_failed');
    respond = (_, res) => {
      res.writeHead(200, { 'content-length': '100' }).write('half');
      setTimeout(() => res.destroy(), 20);
    };
    problemIn(await kv.get(`${path}/breaks`), 502, 'upstream_failed');
    const nowhere = await bucket({ url: 'http://127.0.0.1:1/' });
    problemIn(await kv.get(`${nowhere}/a`), 502, 'upstream_failed');
  });

  test('a caller waits no longer than its own Request-Timeout-Ms; the fetch goes on for others', async () => {
    const path = await bucket();
    respond = (_, res) => void setTimeout(() => res.end('late'), 300);
    // Its clock is the service's, which stands still here: only the wait itself is real.
    problemIn(await kv.get(`${path}/a`, { 'request-timeout-ms': '50' }), 504, 'deadline_exceeded');
    expect((await kv.get(`${path}/a`)).text).toBe('late');
    expect(asked).toHaveLength(1);
  });

  test('writes are refused, deletes are not: the next read asks the origin', async () => {
    const path = await bucket({ negativeTtlMs: 60_000 });
    const writes = [
      await kv.put(`${path}/a`, 'v'),
      await kv.call('PATCH', `${path}/a`, { json: {} }),
      await kv.post(`${path}/a:incr`),
      await kv.post(`${path}/a:touch`),
      await kv.post(`${path}:batch`, { operations: [] }),
      await kv.post(`${path}:txn`, {}),
      await kv.post(`${path}:import`),
    ];
    for (const write of writes) problemIn(write, 409, 'conflict');
    await kv.get(`${path}/a`);
    answer(200, 'changed there');
    expect((await kv.delete(`${path}/a`)).headers.get('kv-deleted')).toBe('1');
    expect((await kv.get(`${path}/a`)).text).toBe('changed there');
    answer(404);
    problemIn(await kv.get(`${path}/none`), 404, 'key_not_found');
    await kv.delete(`${path}/none`);
    answer(200, 'made there');
    expect((await kv.get(`${path}/none`)).text).toBe('made there');
  });

  test('the bound of the bucket holds: what was used longest ago is fetched anew', async () => {
    const path = await bucket({}, { bytesMax: 10_000 });
    answer(200, 'x'.repeat(1_000));
    for (let at = 0; at < 20; at++) expect((await kv.get(`${path}/${at}`)).bytes.length).toBe(1_000);
    expect((await kv.get(path)).json.items.length).toBeLessThan(12);
    expect(cache(await kv.get(`${path}/19`))[0]).toBe('hit');
    expect(cache(await kv.get(`${path}/0`))[0]).toBe('miss');
  });

  test('a new TTL of the bucket counts at once', async () => {
    const path = await bucket({ ttlMs: 60_000 });
    await kv.get(`${path}/a`);
    clock.advance(5_000);
    await kv.bucket(path.slice('/v1/kv/'.length), {
      mode: 'read-through',
      bytesMax: 1_000_000,
      origin: { url, ttlMs: 1_000 },
    });
    expect(cache(await kv.get(`${path}/a`))[0]).toBe('miss');
  });
});
