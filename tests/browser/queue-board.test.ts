/** bull-board behind the key of the service, in a real browser; and the key of the page. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import type { Page } from 'playwright-core';
import { LAUNCH, soon, Visitor } from './browser.ts';
import { QueueUnderTest } from './queue.ts';

const describeWithBrowser = LAUNCH === undefined ? describe.skip : describe;
const KEYS = { root: 'k'.repeat(64), reader: 'r'.repeat(43) };

async function hashOf(key: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(key))).toString('hex');
}

describeWithBrowser('with API keys', () => {
  let queues: QueueUnderTest;
  let visitor: Visitor;
  beforeAll(async () => {
    const folder = tempDir('keys');
    const [rootFile, keysFile] = [join(folder, 'root'), join(folder, 'keys')];
    writeFileSync(rootFile, KEYS.root);
    writeFileSync(keysFile, `reader ${await hashOf(KEYS.reader)} queue:read\n`);
    queues = await QueueUnderTest.start({ API_ROOT_KEY_FILE: rootFile, API_KEYS_FILE: keysFile }, KEYS.root);
    visitor = await Visitor.start(LAUNCH!);
    await queues.ask('PUT', '/v1/queues/billing', { lane: 'standard' });
    await queues.bury('billing', 'invoice-of-ann');
  }, 120_000);
  afterAll(async () => {
    await visitor?.stop();
    await queues?.stop();
  });
  afterEach(() => visitor.leave());

  async function visit(path: string) {
    const { page, faults, expect: expected } = await visitor.visit(queues.url + path);
    expected(401);
    const foreign: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(queues.url)) foreign.push(request.url());
    });
    return { page, faults, foreign, expected };
  }

  async function giveKey(page: Page, key: string) {
    await page.getByRole('textbox', { name: 'API key' }).fill(key);
    await page.getByRole('button', { name: 'Use it' }).click();
  }

  test('the page asks for one, and again when it is a wrong one', async () => {
    const { page, faults } = await visit('/');
    await giveKey(page, 'wrong');
    await page.locator('#key-reason', { hasText: 'not known here' }).waitFor();
    await giveKey(page, KEYS.root);
    await page.locator('#queue-table', { hasText: 'billing' }).waitFor();
    expect(await page.locator('#key-dialog').isVisible()).toBe(false);
    expect(faults).toEqual([]);
  });

  test('a key that may only read sees all, and is told why it changes nothing', async () => {
    const { page, expected, faults } = await visit('/#/queue/billing');
    expected(403);
    await giveKey(page, KEYS.reader);
    await page.getByRole('button', { name: 'Pause', exact: true }).click();
    await page.locator('#said', { hasText: 'the key reader does not have the scope queue:write' }).waitFor();
    expect(await queues.ask('GET', '/v1/queues/billing/stats')).toMatchObject({ paused: false });
    expect(faults).toEqual([]);
  });

  test('bull-board is refused without one, and leads to where one is asked for', async () => {
    const { page, faults, foreign } = await visit('/board/queue/%7Bbilling%7D');
    await page.getByRole('textbox', { name: 'API key' }).waitFor();
    expect(await page.content()).not.toContain('invoice-of-ann');
    await giveKey(page, KEYS.root);
    await page.waitForURL('**/board/');
    await page.getByRole('link', { name: 'billing' }).first().click();
    await page.getByText('invoice-of-ann').first().waitFor();
    await page.getByText('mailbox full').first().waitFor();
    expect([faults, foreign]).toEqual([[], []]);
    // What the browser holds is for the board alone, and for no script.
    expect(await page.evaluate('document.cookie')).toBe('');
    const [cookie, ...others] = await page.context().cookies();
    expect(others).toEqual([]);
    expect(cookie).toMatchObject({ path: '/board', httpOnly: true, sameSite: 'Strict' });
  });

  test('bull-board changes what a writer wants, and nothing for a reader', async () => {
    const [id] = await queues.bury('billing', 'to-be-retried');
    const stateOf = async () => (await queues.ask('GET', `/v1/queues/billing/jobs/${id}`)).state;
    for (const [key, status, state] of [
      [KEYS.reader, 403, 'dead'],
      [KEYS.root, 204, 'waiting'],
    ] as const) {
      const { page, expected, faults } = await visit('/#/board');
      expected(403);
      await giveKey(page, key);
      await page.waitForURL('**/board/');
      await page.getByRole('link', { name: 'billing' }).first().click();
      await page.getByText('to-be-retried').first().waitFor();
      // Where it may be done there is a button for it; a script of this page is no better than that.
      const retry = `fetch('/board/api/queues/%7Bbilling%7D/${id}/retry', { method: 'PUT' }).then(({ status }) => status)`;
      expect(await page.evaluate(retry)).toBe(status);
      await soon(async () => expect(await stateOf()).toBe(state));
      expect(faults).toEqual([]);
    }
  });

  test('a page of another origin on this host changes nothing with the session of whoever looks at it', async () => {
    const { page } = await visit('/#/board');
    await giveKey(page, KEYS.root);
    await page.waitForURL('**/board/');
    const other = await QueueUnderTest.start({ REDIS_URL: queues.redisUrl });
    // The same site by the rules of cookies, since these know no ports; and a page without a policy of its own.
    await page.goto(`${other.url}/healthz`);
    const answers: [string, number][] = [];
    page.on('response', (response) => void answers.push([response.request().method(), response.status()]));
    const address = JSON.stringify(`${queues.url}/board/api/queues/%7Bbilling%7D`);
    const add = `fetch(${address} + '/add', { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' })`;
    const pause = `fetch(${address} + '/pause', { method: 'PUT', credentials: 'include' })`;
    for (const attack of [add, pause]) await page.evaluate(`${attack}.then(() => undefined, () => undefined)`);
    await soon(() => expect(answers).toContainEqual(['POST', 403]));
    expect(answers.filter(([method, status]) => method !== 'OPTIONS' && status < 400)).toEqual([]);
    expect(await queues.ask('GET', '/v1/queues/billing/stats')).toMatchObject({ paused: false });
    await other.stop();
  });
});
