/** The queue's page in a real browser, on the real service with a real Redis: what is true of all views. */
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { LAUNCH } from './browser.ts';
import { EVIL_NAME, type QueueUnderTest } from './queue.ts';
import { withQueuePage } from './queue-page.ts';

if (LAUNCH === undefined) console.log('browser: the tests of the page are skipped, no Chromium is on this machine');
const describeWithBrowser = LAUNCH === undefined ? describe.skip : describe;

describeWithBrowser('the page of the queue', () => {
  const at = withQueuePage();
  const { newQueue, inPage, seen, open } = at;
  let queues: QueueUnderTest;
  let page: Page;
  beforeEach(() => {
    ({ queues, page } = at);
  });

  test('what is not there is said, and the rest goes on', async () => {
    at.visit.expect(404);
    await open('#/queue/nowhere');
    await seen('#said', /there is no queue nowhere/);
    await open('#/queues');
    await seen('#said', /^$/);
  });

  test('comes back by itself when the service does', async () => {
    at.visit.expect(502, 503);
    await queues.stop();
    await page.locator('#link.lost').waitFor();
    await queues.startAgain();
    await page.locator('#link.live').waitFor();
    at.visit.faults.splice(
      0,
      at.visit.faults.length,
      ...at.visit.faults.filter((fault) => !fault.includes('net::ERR_')),
    );
  });

  test('every control has a name, and what is drawn anew keeps the focus', async () => {
    const queue = newQueue();
    await queues.bury(queue, 'mail');
    for (const address of [
      `#/queue/${queue}`,
      `#/queue/${queue}/jobs?state=dead`,
      '#/queues',
      '#/workers',
      '#/schedules',
    ]) {
      await open(address);
      const nameless = await inPage<string[]>(`[...document.querySelectorAll('input, select, textarea, button')]
        .filter((control) => control.labels.length === 0 && control.textContent.trim() === '')
        .map((control) => control.outerHTML)`);
      expect(nameless).toEqual([]);
    }
    await open('#/queues');
    const link = page.getByRole('link', { name: queue, exact: true });
    await link.focus();
    await sleep(4_500);
    expect(await inPage('document.activeElement.textContent')).toBe(queue);
    await page.keyboard.press('Enter');
    await seen('#title', new RegExp(queue));
  });

  test.each([400, 1_400])('fits a window of %d pixels in every view', async (width) => {
    const queue = newQueue();
    await queues.bury(queue, 'long-'.repeat(25), EVIL_NAME);
    const [id] = await queues.enqueue(queue, {
      name: 'x'.repeat(128),
      group: 'g'.repeat(200),
      data: 'd'.repeat(3_000),
    });
    await queues.ask('POST', `/v1/workers/${'w'.repeat(100)}:beat`, { queues: [queue], slots: 1, used: 1 });
    await page.setViewportSize({ width, height: 844 });
    const views = [
      `queue/${queue}`,
      `queue/${queue}/jobs`,
      `queue/${queue}/job/${id}`,
      'queues',
      'workers',
      'schedules',
    ];
    for (const view of views) {
      await open(`#/${view}`);
      await sleep(300);
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
});
