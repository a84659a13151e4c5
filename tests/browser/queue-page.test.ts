import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { LAUNCH, soon } from './browser.ts';
import type { QueueUnderTest } from './queue.ts';
import { withQueuePage } from './queue-page.ts';

if (LAUNCH === undefined) console.log('browser: the tests of the page are skipped, no Chromium is on this machine');
const describeWithBrowser = LAUNCH === undefined ? describe.skip : describe;

describeWithBrowser('queues on the page', () => {
  const at = withQueuePage();
  const { newQueue, text, seen, row, press, open } = at;
  let queues: QueueUnderTest;
  let page: Page;
  beforeEach(() => {
    ({ queues, page } = at);
  });

  const tile = async (name: string) => {
    const all = await text('#queue-tiles');
    return new RegExp(`${name}\\n+([\\d.,]+)`).exec(all)?.[1];
  };

  test('are listed with lane, depth and age, and change as jobs come and go', async () => {
    const [fast, standard] = [newQueue(), newQueue()];
    await queues.ask('PUT', `/v1/queues/${standard}`, { lane: 'standard' });
    await queues.enqueue(fast, ...Array(7).fill({ name: 'mail' }));
    await row('#queue-table', standard).waitFor();
    expect(await row('#queue-table', standard).innerText()).toMatch(/standard\t0\t–\t0\t0\t0\t/);
    await soon(async () =>
      expect(await row('#queue-table', fast).innerText()).toMatch(/fast\t7\t[\d.]+ m?s\t0\t0\t0\t/),
    );
    for (const job of await queues.lease(fast, 3)) await queues.ack(fast, job);
    const [failed] = await queues.lease(fast);
    await queues.fail(fast, failed!, { final: true });
    await soon(async () =>
      expect(await row('#queue-table', fast).innerText()).toMatch(/fast\t3\t[\d.]+ m?s\t0\t0\t1\t/),
    );
    await soon(async () => {
      const drawn = row('#queue-table', fast).locator('svg.spark path.completed');
      expect(await drawn.getAttribute('d')).toContain('v');
    });
    await page.getByRole('searchbox').fill(standard);
    expect(await page.locator('#queue-table tbody tr').count()).toBe(1);
  });

  test('have charts of what is enqueued, completed and failed, and say their figures in words', async () => {
    const queue = newQueue();
    await queues.enqueue(queue, { name: 'mail' });
    await open(`#/queue/${queue}`);
    await seen('#queue-tiles', /Waiting\n+1/);
    await queues.enqueue(queue, ...Array(11).fill({ name: 'mail' }));
    for (const job of await queues.lease(queue, 4)) await queues.ack(queue, job);
    await soon(async () => expect([await tile('Waiting'), await tile('Completed')]).toEqual(['8', '4']));
    const chart = page.getByRole('img', { name: /^Jobs per second/ });
    await soon(async () => {
      await chart.focus();
      await page.keyboard.press('ArrowLeft');
      expect(await chart.getAttribute('aria-label')).toMatch(
        /at \d\d:\d\d:\d\d: enqueued [1-9.]+, completed [1-9.]+, failed 0/,
      );
    });
    for (const path of ['path.stroke.completed', 'path.area.waiting'])
      await soon(async () => expect(await page.locator(path).getAttribute('d')).toContain('L'));
  });

  test('show the workers and the schedules that they have', async () => {
    const queue = newQueue();
    await queues.enqueue(queue, { name: 'mail' });
    const beat = { queues: [queue], slots: 8, used: 3, rssBytes: 50 * 2 ** 20, host: 'box' };
    await queues.ask('POST', '/v1/workers/page-worker:beat', beat);
    const schedule = { queue, cron: '0 9 * * MON-FRI', timeZone: 'Europe/Berlin', job: { name: 'digest' } };
    await queues.ask('PUT', `/v1/schedules/${queue}`, schedule);
    await open(`#/queue/${queue}`);
    await seen('#worker-table', /page-worker\s+box\s+page-\d+\s+3 of 8\s+50 MiB/);
    await seen('#schedule-table', /0 9 \* \* MON-FRI Europe\/Berlin/);
    await press('Run now');
    await seen('#said', /Job 2 is enqueued/);
    await soon(async () => expect(await tile('Waiting')).toBe('2'));
    await page.getByRole('link', { name: 'Workers', exact: true }).click();
    await press('Quiet…');
    await press('Quiet it');
    await seen('#worker-table', /quiet/);
    await queues.ask('DELETE', `/v1/schedules/${queue}`);
  });

  test('are paused and resumed, whole and by group', async () => {
    const queue = newQueue();
    await queues.enqueue(queue, { name: 'mail', group: 'acme' });
    await open(`#/queue/${queue}`);
    await press('Pause');
    await seen('#said', /is paused/);
    expect(await queues.ask('GET', `/v1/queues/${queue}/stats`)).toMatchObject({ paused: true });
    await press('Resume');
    await seen('#said', /goes on/);
    await press('Pause a group…');
    await page.getByRole('textbox', { name: 'Group' }).fill('acme');
    await press('Pause it');
    await seen('#group-table', /acme\s+paused/);
    expect(await queues.ask('GET', `/v1/queues/${queue}/stats`)).toMatchObject({
      paused: false,
      pausedGroups: ['acme'],
    });
    await press('Resume acme');
    await seen('#group-table', /No group is paused/);
  });

  test('are drained and purged only when that is confirmed', async () => {
    const queue = newQueue();
    await queues.bury(queue, 'dead');
    await queues.enqueue(queue, { name: 'mail' }, { name: 'later', delayMs: 60_000 });
    await open(`#/queue/${queue}`);
    await press('Drain…');
    await press('Cancel');
    expect(await queues.counts(queue)).toMatchObject({ waiting: 1, scheduled: 1 });
    await press('Drain…');
    await press('Drain');
    await seen('#said', /1 job removed/);
    expect(await queues.counts(queue)).toMatchObject({ waiting: 0, scheduled: 1, dead: 1 });
    await press('Purge…');
    await page.getByRole('combobox').selectOption('dead');
    await page.keyboard.press('Escape');
    expect(await queues.counts(queue)).toMatchObject({ dead: 1 });
    await press('Purge…');
    await page.getByRole('combobox').selectOption('dead');
    await press('Purge');
    await seen('#said', /1 job forgotten/);
    expect(await queues.counts(queue)).toMatchObject({ dead: 0 });
  });
});
