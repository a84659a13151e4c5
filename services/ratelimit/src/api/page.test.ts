import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { type RunningLimiter, startLimiter, TEN_PER_USER } from './running.fixture.ts';

const FILES = readdirSync(new URL('../page/', import.meta.url));
let limiter: RunningLimiter;
beforeAll(async () => {
  limiter = await startLimiter(TEN_PER_USER);
});
afterAll(() => limiter.stop());

describe('the page', () => {
  test('may load nothing from elsewhere and run nothing inline', async () => {
    const page = await limiter.get('/');
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'self';/);
    expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
    const html = await page.text();
    expect(html).not.toMatch(/<script(?![^>]* src="\/page\/)|<style| style=| on\w+=|https?:\/\//);
  });

  test.each(FILES)('has its file %s, with its type, and is asked for once', async (name) => {
    const file = await limiter.get(`/page/${name}`);
    expect(file.status).toBe(200);
    expect(file.headers.get('content-type')).toMatch(/^(text\/(html|css|javascript); charset=utf-8|image\/svg\+xml)$/);
    expect(file.headers.get('content-security-policy')).toMatch(/^default-src 'self';/);
    const again = await limiter.get(`/page/${name}`, { 'if-none-match': file.headers.get('etag')! });
    expect([again.status, await again.text()]).toEqual([304, '']);
  });

  test.each(['/page/', '/page/none.js', '/page/..%2fservice.ts', '/page/../service.ts', '/page/%2e%2e%2fconfig.ts'])(
    'gives nothing else away: %s',
    async (path) => {
      expect((await limiter.get(path)).status).toBe(404);
    },
  );

  test('makes no markup of text', () => {
    const scripts = FILES.filter((name) => name.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(5);
    const makers = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser/;
    const found = scripts.filter((name) =>
      makers.test(readFileSync(new URL(`../page/${name}`, import.meta.url), 'utf8')),
    );
    expect(found).toEqual([]);
  });

  test('is given to everybody where a key is needed, and nothing that it shows', async () => {
    const rootKeyFile = join(tempDir('key'), 'root');
    writeFileSync(rootKeyFile, 'a'.repeat(64));
    const guarded = await startLimiter(TEN_PER_USER, { API_ROOT_KEY_FILE: rootKeyFile });
    const statusOf = async (path: string, headers = {}) => (await guarded.get(path, headers)).status;
    expect([await statusOf('/'), await statusOf('/page/app.js')]).toEqual([200, 200]);
    for (const path of ['/v1/limits/top', '/v1/limits/events', '/v1/rules']) expect(await statusOf(path)).toBe(401);
    expect(await statusOf('/v1/limits/top', { authorization: `Bearer ${'a'.repeat(64)}` })).toBe(200);
    await guarded.stop();
  });
});
