/** Jobs on the queue's page: search, attempts, dead letters, and whatever people write into them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { LAUNCH, soon } from './browser.ts';
import { EVIL, EVIL_NAME, type QueueUnderTest } from './queue.ts';
import { TRACE_URL, withQueuePage } from './queue-page.ts';

if (LAUNCH === undefined) console.log('browser: the tests of the page are skipped, no Chromium is on this machine');
const describeWithBrowser = LAUNCH === undefined ? describe.skip : describe;

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

/** Of a line with a time in it, `512 ms` or `1.2 s`. */
function msIn(line: string): number {
  const [, number, unit] = / ([\d.]+) (m?s)\b/.exec(line) ?? [];
  return Number(number) * (unit === 's' ? 1_000 : 1);
}

describeWithBrowser('the page of the queue', () => {
  const at = withQueuePage();
  const { newQueue, text, seen, row, press, open } = at;
  let queues: QueueUnderTest;
  let page: Page;
  beforeEach(() => {
    ({ queues, page } = at);
  });

  describe.each(['fast', 'standard'])('jobs of a %s queue', (lane) => {
    let queue: string;
    beforeEach(async () => {
      queue = newQueue();
      await queues.ask('PUT', `/v1/queues/${queue}`, { lane });
    });

    test('are found by state, name, tag, group and id, page by page', async () => {
      await queues.enqueue(queue, { name: 'sms', group: 'acme', tags: ['eu'] }, { name: 'later', delayMs: 60_000 });
      const ids = await queues.enqueue(queue, ...Array(30).fill({ name: 'mail' }));
      await open(`#/queue/${queue}/jobs`);
      const found = () => page.locator('#job-table tbody tr').count();
      await soon(async () => expect(await found()).toBe(25));
      await press('Next');
      await soon(async () => expect(await found()).toBe(7));
      await press('Before');
      await soon(async () => expect(await found()).toBe(25));
      const search = page.getByRole('search');
      for (const [label, value] of [
        ['Name', 'sms'],
        ['Tag', 'eu'],
        ['Group', 'acme'],
      ] as const) {
        await open(`#/queue/${queue}/jobs`);
        await search.getByLabel(label).fill(value);
        await press('Find');
        await seen('#job-table', /sms/);
        expect([label, await found()]).toEqual([label, 1]);
      }
      await search.getByLabel('State').selectOption('scheduled');
      await press('Find');
      await seen('#job-table', /No job is like that/);
      await search.getByLabel('Group').fill('');
      await press('Find');
      await seen('#job-table', /later\s+scheduled/);
      await search.getByLabel('Id').fill(ids[0]!);
      await press('Find');
      await seen('#title', new RegExp(`/ ${ids[0]}$`));
    });

    test('tell their attempts, with the waits between, as they were', async () => {
      const trace = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` };
      const wish = { name: 'flaky', data: { to: 'ann' }, tags: ['eu'], group: 'acme' };
      const { id } = await queues.ask('POST', `/v1/queues/${queue}/jobs`, wish, trace);
      const [first] = await queues.lease(queue, 1, 'worker-a');
      const renewal = { id, token: first!.token, progress: { percent: 40 }, log: ['began'] };
      await queues.ask('POST', `/v1/queues/${queue}:renew`, { leases: [renewal] });
      await open(`#/queue/${queue}/job/${id}`);
      await seen('#timeline', /attempt 1\s+[\d.]+ m?s\s+running\s+worker-a/);
      expect(await page.getByRole('progressbar').getAttribute('value')).toBe('40');
      await queues.fail(queue, first!, { retryAfterMs: 400 });
      await sleep(500);
      const [second] = await queues.lease(queue, 1, 'worker-b');
      await sleep(300);
      await queues.ack(queue, second!, { sent: 'yes' });
      await seen('#timeline', /attempt 2\s+[\d.]+ m?s\s+completed\s+worker-b/);
      const rows = await page.locator('#timeline tbody tr').allInnerTexts();
      const told = rows.filter((one) => !/waited\t\d ms/.test(one)).map((one) => one.replaceAll(/\s+/g, ' '));
      expect(told.at(-3)).toMatch(/^attempt 1 .* failed SmtpError: mailbox full worker-a/);
      // From the failure until a worker took it: the backoff at least.
      expect(told.at(-2)).toMatch(/^waited /);
      expect(msIn(told.at(-2)!)).toBeGreaterThanOrEqual(400);
      expect(told.at(-1)).toMatch(/^attempt 2 .* completed worker-b/);
      expect(msIn(told.at(-1)!)).toBeGreaterThanOrEqual(290);
      expect(await page.locator('#timeline rect.bar-failed').count()).toBe(1);
      expect(await text('#view')).toMatch(
        /Data\s+\{\s+"to": "ann"\s+\}\s+Result\s+\{\s+"sent": "yes"\s+\}\s+Log\s+began/,
      );
      const link = page.getByRole('link', { name: 'Its trace' });
      expect(await link.getAttribute('href')).toBe(TRACE_URL.replace('{traceId}', TRACE_ID));
    });

    test('that are dead are shown with their reasons, and redriven: some, and one', async () => {
      await queues.bury(queue, 'mail', 'sms', 'mail');
      await open(`#/queue/${queue}`);
      await page.getByRole('link', { name: 'Dead letters' }).click();
      await soon(async () => expect(await row('#job-table', 'mailbox full').count()).toBe(3));
      await row('#job-table', 'sms').getByRole('button', { name: 'Redrive' }).click();
      await seen('#said', /waits again/);
      await soon(async () => expect(await row('#job-table', 'mailbox full').count()).toBe(2));
      expect((await queues.ask('GET', `/v1/queues/${queue}/jobs?state=waiting`)).jobs).toMatchObject([{ name: 'sms' }]);
      await press('Redrive…');
      await page.getByRole('spinbutton', { name: 'At the most' }).fill('1');
      await page.getByRole('dialog').getByLabel('Name').fill('mail');
      await page.getByRole('dialog').getByRole('button', { name: 'Redrive' }).click();
      await seen('#said', /1 job waits again; there may be more/);
      expect(await queues.counts(queue)).toMatchObject({ waiting: 2, dead: 1 });
    });

    test('are promoted, cancelled and redriven where they are looked at', async () => {
      const [id] = await queues.enqueue(queue, { name: 'later', delayMs: 3_600_000 });
      await open(`#/queue/${queue}/job/${id}`);
      await press('Promote');
      await seen('#said', /is due now/);
      await seen('#view', /^waiting/);
      await press('Cancel…');
      await page.getByLabel('Reason').fill('ordered twice');
      await press('Cancel the job');
      await seen('#view', /cancelled[\s\S]*ordered twice/);
      const [dead] = await queues.bury(queue, 'mail');
      await open(`#/queue/${queue}/job/${dead}`);
      await seen('#view', /Last error\s+SmtpError: mailbox full/);
      await press('Redrive');
      await seen('#view', /^waiting/);
    });
  });

  test('names, data and errors with markup in them are shown as text', async () => {
    const queue = newQueue();
    await queues.ask('PUT', `/v1/queues/${queue}`, {});
    const evil = {
      name: EVIL_NAME,
      group: EVIL,
      tags: [EVIL],
      data: { [EVIL]: EVIL },
      callbackUrl: 'http://1.2.3.4/<b>"',
    };
    const [id] = await queues.enqueue(queue, evil);
    await queues.ask('POST', `/v1/workers/${encodeURIComponent(EVIL_NAME)}:beat`, {
      queues: [queue],
      slots: 1,
      used: 0,
      host: EVIL,
    });
    await queues.ask('PUT', `/v1/schedules/${queue}`, { queue, everyMs: 3_600_000, job: { name: EVIL_NAME } });
    await queues.ask('POST', `/v1/queues/${queue}:pause`, { group: EVIL });
    await open(`#/queue/${queue}`);
    for (const table of ['#worker-table', '#schedule-table', '#group-table'])
      await soon(async () => expect(await text(table)).toContain('<img'));
    await queues.ask('POST', `/v1/queues/${queue}:resume`, { group: EVIL });
    const [job] = await queues.lease(queue, 1, EVIL_NAME);
    const renewal = { id, token: job!.token, progress: EVIL, log: [EVIL] };
    await queues.ask('POST', `/v1/queues/${queue}:renew`, { leases: [renewal] });
    await queues.fail(queue, job!, { error: { type: EVIL, message: EVIL, stack: EVIL }, final: true });
    await open(`#/queue/${queue}/jobs?state=dead`);
    await soon(async () => expect((await text('#job-table')).split('<img').length - 1).toBeGreaterThanOrEqual(5));
    await open(`#/queue/${queue}/job/${id}`);
    await soon(async () => expect((await text('#view')).split('<img').length - 1).toBeGreaterThanOrEqual(9));
    at.visit.expect(400);
    await open(`#/queue/${encodeURIComponent(EVIL)}/job/${encodeURIComponent(EVIL)}`);
    await seen('#title', /<img/);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.title()).toContain('<img');
    await queues.ask('DELETE', `/v1/schedules/${queue}`);
  });

  test('a number that JavaScript would round is shown as it was sent', async () => {
    const queue = newQueue();
    const body = '{"name":"exact","data":{"n":12345678901234567890}}';
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
    const { id } = (await (await fetch(`${queues.url}/v1/queues/${queue}/jobs`, init)).json()) as { id: string };
    await open(`#/queue/${queue}/job/${id}`);
    await seen('#view', /12345678901234567890/);
  });
});
