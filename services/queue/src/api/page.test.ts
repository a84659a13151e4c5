import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type RunningService, startService } from '@plinth/service-kit';
import { tempDir, withRedis } from '@plinth/testkit';
import { queueService } from '../service.ts';

const FOLDER = new URL('../page/', import.meta.url);
const FILES = readdirSync(FOLDER);
const read = (name: string) => readFileSync(new URL(name, FOLDER), 'utf8');
const TRACE_URL = 'http://localhost:16686/trace/{traceId}';

const redis = withRedis();
const start = (env: Record<string, string> = {}): Promise<RunningService> =>
  startService(queueService, { env: { QUEUE_LOG_LEVEL: 'error', REDIS_URL: redis.url, ...env }, port: 0 });
let queue: RunningService;
beforeAll(async () => {
  queue = await start({ TRACE_URL });
});
afterAll(() => queue.stop());
const get = (path: string, headers: Record<string, string> = {}) => fetch(queue.url + path, { headers });

describe('the page', () => {
  test('may load nothing from elsewhere and run nothing inline', async () => {
    const page = await get('/');
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'self';/);
    expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
    const html = await page.text();
    expect(html).not.toMatch(/<script(?![^>]* src="\/page\/)|<style| style=| on\w+=|https?:\/\//);
  });

  test.each(FILES)('has its file %s, with its type, and is asked for once', async (name) => {
    const file = await get(`/page/${name}`);
    expect(file.status).toBe(200);
    expect(file.headers.get('content-type')).toMatch(/^(text\/(html|css|javascript); charset=utf-8|image\/svg\+xml)$/);
    expect(file.headers.get('content-security-policy')).toMatch(/^default-src 'self';/);
    const again = await get(`/page/${name}`, { 'if-none-match': file.headers.get('etag')! });
    expect([again.status, await again.text()]).toEqual([304, '']);
  });

  test.each(['/page/', '/page/none.js', '/page/..%2fservice.ts', '/page/../service.ts', '/page/%2e%2e%2fconfig.ts'])(
    'gives nothing else away: %s',
    async (path) => {
      expect((await get(path)).status).toBe(404);
    },
  );

  test('makes no markup of text', () => {
    const scripts = FILES.filter((name) => name.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(10);
    const makers = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc/;
    expect(scripts.filter((name) => makers.test(read(name)))).toEqual([]);
  });

  test('is small: less than a picture', () => {
    const bytes = FILES.map((name) => Buffer.byteLength(read(name)));
    const packed = FILES.map((name) => gzipSync(read(name)).length);
    const sum = (all: number[]) => all.reduce((one, other) => one + other, 0);
    console.log(`the page: ${sum(bytes)} bytes in ${FILES.length} files, ${sum(packed)} gzipped`);
    expect(sum(bytes)).toBeLessThan(100_000);
  });

  test('knows where traces are, if that was said', async () => {
    expect(await (await get('/page:settings')).json()).toEqual({ traceUrl: TRACE_URL });
  });

  test('is given to everybody where a key is needed, and nothing that it shows', async () => {
    const rootKeyFile = join(tempDir('key'), 'root');
    writeFileSync(rootKeyFile, 'a'.repeat(64));
    const guarded = await start({ API_ROOT_KEY_FILE: rootKeyFile });
    const statusOf = async (path: string, headers = {}) => (await fetch(guarded.url + path, { headers })).status;
    expect([await statusOf('/'), await statusOf('/page/app.js')]).toEqual([200, 200]);
    for (const path of ['/v1/queues', '/v1/events', '/page:settings', '/board/', '/board/static/js/main.js'])
      expect(await statusOf(path)).toBe(401);
    expect(await statusOf('/page:settings', { authorization: `Bearer ${'a'.repeat(64)}` })).toBe(200);
    await guarded.stop();
  });
});
