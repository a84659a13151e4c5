/** The rate limiter's page in a real browser, on the real service with its rules in the real key-value store. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ratelimitService } from '@plinth/ratelimit';
import { startService } from '@plinth/service-kit';
import { tempDir } from '@plinth/testkit';
import type { Page } from 'playwright-core';
import { LAUNCH, soon, type Visit, Visitor } from './browser.ts';
import { EVIL, Limiter, RULES, times } from './limiter.ts';

if (LAUNCH === undefined) console.log('browser: the tests of the page are skipped, no Chromium is on this machine');
const describeWithBrowser = LAUNCH === undefined ? describe.skip : describe;

describeWithBrowser('the page', () => {
  let limiter: Limiter;
  let visitor: Visitor;
  let visit: Visit;
  let page: Page;

  beforeAll(async () => {
    limiter = await Limiter.start();
    visitor = await Visitor.start(LAUNCH!);
  }, 120_000);
  afterAll(async () => {
    await visitor?.stop();
    await limiter?.stop();
  });
  beforeEach(async () => {
    await soon(() => limiter.putRules(RULES));
    visit = await visitor.visit(limiter.url);
    page = visit.page;
    await page.locator('#link.live').waitFor();
  });
  afterEach(async () => {
    await visitor.leave();
    expect(visit.faults).toEqual([]);
  });

  /** As text, for the types here are those of Node. */
  const inPage = <T = unknown>(expression: string) => page.evaluate<T>(expression);
  const text = (selector: string) => page.locator(selector).innerText();
  const row = (table: string, name: string) => page.locator(`${table} tbody tr`, { hasText: name });
  const seen = (selector: string, pattern: RegExp) => soon(async () => expect(await text(selector)).toMatch(pattern));
  async function open(view: 'Live' | 'Rules' | 'Simulate' | 'Try') {
    await page.getByRole('navigation').getByRole('link', { name: view }).click();
  }
  /** Once the editor has the rules as they are. */
  async function openEditor() {
    await open('Rules');
    await page.getByRole('combobox', { name: 'Domain' }).selectOption('api');
    await soon(async () => expect(await page.locator('#rules-text').inputValue()).toBe(await limiter.rules()));
  }
  async function edit(from: string, to: string) {
    const field = page.locator('#rules-text');
    const before = await field.inputValue();
    expect(before).toContain(from);
    await field.fill(before.replace(from, to));
  }

  describe('live', () => {
    test('counts and charts change as requests are decided', async () => {
      const before = Number((await text('#tiles div:nth-child(3) dd')).replaceAll(/\D.*/g, ''));
      await limiter.check([...times(12, 'live-ann'), ...times(3, 'live-bob')]);
      await soon(async () => {
        const requests = Number((await text('#tiles div:nth-child(3) dd')).replaceAll(/\D.*/g, ''));
        expect(requests).toBe(before + 15);
      });
      await row('#rule-table', 'api / user').waitFor();
      await soon(async () => expect(await page.locator('#chart path.area.allowed').getAttribute('d')).toContain('L'));
      await soon(async () =>
        expect(await page.locator('#rule-table svg.spark path.denied').first().getAttribute('d')).toContain('v'),
      );
      await soon(async () => expect(await row('#top-table', 'live-ann').innerText()).toMatch(/\t2$/));
      await page.getByRole('combobox', { name: 'By' }).selectOption('hits');
      await soon(async () => expect(await row('#top-table', 'live-ann').innerText()).toMatch(/\t12$/));
      await row('#denial-table', 'user=live-ann').first().waitFor();
    });

    test('the chart shows one rule, and says in words what was at a moment, by keyboard too', async () => {
      await limiter.check(times(11, 'chart-ann'));
      await page.locator('#rule-table').getByRole('button', { name: 'api / user' }).click();
      expect(await page.getByRole('combobox', { name: 'Rule' }).inputValue()).toBe('["api","user"]');
      await row('#top-table', 'chart-ann').waitFor();
      const figure = page.locator('#chart svg');
      await figure.focus();
      await soon(async () => {
        await page.keyboard.press('ArrowLeft');
        expect(await figure.getAttribute('aria-label')).toMatch(/at \d\d:\d\d:\d\d: allowed 10, denied 1, /);
      });
      expect(await page.locator('#chart line.cursor').count()).toBe(1);
    });

    test('a key with markup in it is shown as text', async () => {
      await limiter.check(times(60, EVIL));
      await row('#top-table', EVIL).waitFor();
      await row('#denial-table', `user=${EVIL}`).first().waitFor();
      expect(await page.locator('img').count()).toBe(0);
      expect(await page.title()).toBe('Rate limits · Plinth');
    });

    test('comes back by itself when the service does, and begins to count anew', async () => {
      visit.expect(502, 503);
      await limiter.check(times(5, 'before'));
      await seen('#tiles', /Requests\n[1-9]/);
      await limiter.stopService();
      await page.locator('#link.lost').waitFor();
      await limiter.startService();
      await page.locator('#link.live').waitFor();
      await soon(() => limiter.putRules(RULES));
      await limiter.check(['after']);
      await seen('#tiles', /Requests\n1 /);
      // Chromium says of each try that failed that it did.
      visit.faults.splice(0, visit.faults.length, ...visit.faults.filter((fault) => !fault.includes('net::ERR_')));
    });
  });

  describe('rules', () => {
    test('a fault is shown with its line, and leads there', async () => {
      visit.expect(422);
      await openEditor();
      await edit('limit: 10', 'limit: -10');
      await page.getByRole('button', { name: 'Save' }).click();
      const fault = page.locator('#rules-faults button');
      expect(await fault.innerText()).toMatch(/^Line 5, column \d+: limit is -10; /);
      expect(await text('#rules-lines .wrong')).toBe('5');
      expect(await limiter.rules()).toBe(RULES);
      await fault.click();
      const before = await inPage<string>(`(({ value, selectionStart }) => value.slice(0, selectionStart))(
        document.querySelector('#rules-text'))`);
      expect(before.split('\n').length).toBe(5);
    });

    test('a dry run shows the difference, and saves nothing', async () => {
      await limiter.check(times(9, `dry-${Date.now()}`));
      await openEditor();
      await edit('limit: 10', 'limit: 4');
      await page.getByRole('button', { name: 'Dry run' }).click();
      await seen('#rules-result', /Of the last [\d,]+ requests .* these rules deny [\d,]+/);
      expect(await text('#rules-result')).toMatch(/The present rules deny [\d,]+: [1-9][\d,]* would be newly denied/);
      expect(await row('#rules-result', 'api / user').innerText()).toMatch(/\+[1-9]/);
      expect(await page.locator('#rules-result path.stroke.present').count()).toBe(1);
      expect(await limiter.rules()).toBe(RULES);
    });

    test('what is saved is in force', async () => {
      await openEditor();
      await edit('limit: 10', 'limit: 2');
      await page.getByRole('button', { name: 'Save' }).click();
      await seen('#rules-said', /Saved, and in force/);
      expect(await limiter.rules()).toBe(RULES.replace('limit: 10', 'limit: 2'));
      expect(await page.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true);
      await limiter.check(times(3, 'saved-ann'));
      await open('Live');
      await soon(async () => expect(await row('#top-table', 'saved-ann').innerText()).toMatch(/\t1$/));
    });

    test('nobody overwrites what somebody else has saved meanwhile', async () => {
      visit.expect(412);
      await openEditor();
      await edit('limit: 10', 'limit: 3');
      const theirs = RULES.replace('limit: 10', 'limit: 7');
      await limiter.putRules(theirs);
      await seen('#rules-said', /Somebody else has changed these rules/);
      await page.getByRole('button', { name: 'Save' }).click();
      await seen('#rules-said', /Not saved: somebody else/);
      expect(await limiter.rules()).toBe(theirs);
      await page.getByRole('button', { name: 'Discard changes' }).click();
      await soon(async () => expect(await page.locator('#rules-text').inputValue()).toBe(theirs));
    });

    test('a change by somebody else shows at once where nothing is being written', async () => {
      await openEditor();
      const theirs = RULES.replace('limit: 10', 'limit: 8');
      await limiter.putRules(theirs);
      await soon(async () => expect(await page.locator('#rules-text').inputValue()).toBe(theirs));
    });

    test('a domain is begun, saved and removed', async () => {
      visit.expect(404);
      await openEditor();
      await page.getByLabel('New domain').fill('shop');
      await page.getByRole('button', { name: 'Begin' }).click();
      expect(await page.locator('#rules-text').inputValue()).toContain('domain: shop');
      await page.getByRole('button', { name: 'Save' }).click();
      await seen('#rules-said', /Saved/);
      expect(await limiter.rules('shop')).toContain('domain: shop');
      await page.getByRole('button', { name: 'Remove…' }).click();
      await page.getByRole('button', { name: 'Keep them' }).click();
      expect(await limiter.rules('shop')).toContain('domain: shop');
      await page.getByRole('button', { name: 'Remove…' }).click();
      await page.getByRole('button', { name: 'Remove', exact: true }).click();
      await seen('#rules-said', /Removed/);
      expect(await limiter.rules('shop')).toContain('rules_not_found');
    });
  });

  test('described traffic is simulated: with the rules in force, and with those in the editor', async () => {
    await openEditor();
    await edit('limit: 10', 'limit: 3');
    await open('Simulate');
    await page.locator('#simulate-form').getByLabel('Domain').fill('api');
    await page.getByRole('combobox', { name: 'They come' }).selectOption('steady');
    await page.getByLabel('Different keys').fill('20');
    await page.getByRole('button', { name: 'Simulate' }).click();
    // 3,000 requests, 20 keys, 10 each.
    await seen('#simulate-result', /Of the described 3,000 requests \(1 min\) these rules deny 2,800 /);
    await page.getByLabel('the text in the editor').check();
    await page.getByRole('button', { name: 'Simulate' }).click();
    await seen(
      '#simulate-result',
      /these rules deny 2,940 .*\n+The present rules deny 2,800: 140 would be newly denied/,
    );
    await page.locator('#simulate-form').getByLabel('Descriptors').fill('no entry');
    await page.getByRole('button', { name: 'Simulate' }).click();
    await seen('#simulate-said', /Line 1: "no entry" is not key=value/);
    await page.getByLabel('as recorded').check();
    await page.getByRole('button', { name: 'Simulate' }).click();
    await seen('#simulate-result', /Of the last /);
  });

  test('a check is tried, and its verdict explained', async () => {
    await open('Try');
    const form = page.locator('#try-form');
    await form.getByLabel('Domain').fill('api');
    await form.getByLabel('Descriptors').fill('user="Ann, the first"');
    await form.getByRole('button', { name: 'Take' }).click();
    await seen('#try-result', /^Allowed\n+user allows: 10 in 1 h \(fixed\), 9 left/);
    await form.getByRole('button', { name: 'Look' }).click();
    await seen('#try-result', /^Would be allowed\n+user allows: 10 in 1 h \(fixed\), [89] left/);
    await form.getByLabel('Cost').fill('11');
    await form.getByRole('button', { name: 'Take' }).click();
    await seen('#try-result', /^Denied\n+Never: it costs 11/);
    await seen('#try-result', /user=Ann, the first leads to user, kv:api:3/);
    await form.getByLabel('Descriptors').fill('planet=earth');
    await form.getByRole('button', { name: 'Take' }).click();
    await seen('#try-result', /^Allowed\n+No rule is for planet=earth/);
  });

  test('every control has a name, and every view is reached by keyboard', async () => {
    const nameless = await inPage<string[]>(`[...document.querySelectorAll('input, select, textarea, button')]
      .filter((control) => control.labels.length === 0 && control.textContent.trim() === '')
      .map((control) => control.outerHTML)`);
    expect(nameless).toEqual([]);
    await page.keyboard.press('Tab');
    expect(await inPage('document.activeElement.textContent')).toBe('To the content');
    for (const view of ['live', 'rules', 'simulate', 'try']) {
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.locator(`#view-${view}`).waitFor();
      expect(await page.locator('nav [aria-current=page]').getAttribute('href')).toBe(`#${view}`);
    }
  });

  test.each([390, 1_400])('fits a window of %d pixels in every view', async (width) => {
    await limiter.check([...times(12, `${'wide-'.repeat(30)}`), EVIL]);
    await page.setViewportSize({ width, height: 844 });
    await openEditor();
    await edit('limit: 10', `limit: 1 # ${'long '.repeat(60)}`);
    await page.getByRole('button', { name: 'Dry run' }).click();
    await seen('#rules-result', /Of the last/);
    for (const view of ['Live', 'Rules', 'Simulate', 'Try'] as const) {
      await open(view);
      const beyond = await inPage('document.documentElement.scrollWidth - window.innerWidth');
      expect([view, beyond]).toEqual([view, 0]);
    }
  });

  test('is dark where the system is', async () => {
    const ground = () => inPage('getComputedStyle(document.body).backgroundColor');
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await ground();
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await ground()).not.toBe(light);
  });

  test('asks for the API key where one is needed, and again when it is a wrong one', async () => {
    const key = 'k'.repeat(64);
    const rootKeyFile = join(tempDir('key'), 'root');
    writeFileSync(rootKeyFile, key);
    const env = { RATELIMIT_RLS_PORT: '0', RATELIMIT_RESP_PORT: '0', RATELIMIT_LOG_LEVEL: 'error' };
    const guarded = await startService(ratelimitService, { env: { ...env, API_ROOT_KEY_FILE: rootKeyFile }, port: 0 });
    const other = await visitor.visit(guarded.url);
    other.expect(401);
    const giveKey = async (typed: string) => {
      await other.page.getByRole('textbox', { name: 'API key' }).fill(typed);
      await other.page.getByRole('button', { name: 'Use it' }).click();
    };
    await giveKey('wrong');
    await other.page.locator('#key-reason', { hasText: 'not known here' }).waitFor();
    await giveKey(key);
    await other.page.locator('#link.live').waitFor();
    expect(await other.page.locator('#key-dialog').isVisible()).toBe(false);
    await guarded.stop();
    await other.page.close();
    expect(other.faults.filter((fault) => !fault.includes('net::ERR_'))).toEqual([]);
  });
});
