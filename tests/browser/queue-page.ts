/** A visitor of the queue's page: before each test one who was never there, after it a look at what went wrong. */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import type { Locator, Page } from 'playwright-core';
import { LAUNCH, soon, type Visit, Visitor } from './browser.ts';
import { QueueUnderTest } from './queue.ts';

export const TRACE_URL = 'http://127.0.0.1:16686/trace/{traceId}';

export interface QueuePage {
  readonly queues: QueueUnderTest;
  readonly visit: Visit;
  readonly page: Page;
  newQueue(): string;
  /** Evaluates text, for the types here are those of Node. */
  inPage<T = unknown>(expression: string): Promise<T>;
  text(selector: string): Promise<string>;
  /** Waits until it is there to be read. */
  seen(selector: string, pattern: RegExp): Promise<void>;
  row(table: string, having: string): Locator;
  press(name: string): Promise<void>;
  /** A view by its address, `#/queues`. */
  open(address: string): Promise<void>;
}

/** For a `describe`. Each test ends with: nothing in the console, and nothing asked of another host. */
export function withQueuePage(): QueuePage {
  let queues: QueueUnderTest;
  let visitor: Visitor;
  let visit: Visit;
  let foreign: string[];
  let names = 0;

  beforeAll(async () => {
    queues = await QueueUnderTest.start({ TRACE_URL });
    visitor = await Visitor.start(LAUNCH!);
  }, 120_000);
  afterAll(async () => {
    await visitor?.stop();
    await queues?.stop();
  });
  beforeEach(async () => {
    foreign = [];
    visit = await visitor.visit(queues.url);
    visit.page.on('request', (request) => {
      if (!request.url().startsWith(queues.url)) foreign.push(request.url());
    });
    await visit.page.locator('#link.live').waitFor();
  });
  afterEach(async () => {
    await visitor.leave();
    expect(visit.faults).toEqual([]);
    expect(foreign).toEqual([]);
  });

  const text = (selector: string) => visit.page.locator(selector).innerText();
  const inPage = <T>(expression: string) => visit.page.evaluate<T>(expression);
  return {
    get queues() {
      return queues;
    },
    get visit() {
      return visit;
    },
    get page() {
      return visit.page;
    },
    newQueue: () => `page-${++names}`,
    inPage,
    text,
    seen: (selector, pattern) => soon(async () => expect(await text(selector)).toMatch(pattern)),
    row: (table, having) => visit.page.locator(`${table} tbody tr`, { hasText: having }),
    press: (name) => visit.page.getByRole('button', { name, exact: true }).click(),
    async open(address) {
      await inPage(`location.hash = ${JSON.stringify(address)}`);
      await visit.page.locator('#link.live').waitFor();
    },
  };
}
