/** A browser for the tests of pages, and what went wrong in it. */
import { type ChromiumLaunch, chromiumLaunch, eventually } from '@plinth/testkit';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** Undefined where there is no browser; the reason has then been written to standard error. */
export const LAUNCH: ChromiumLaunch | undefined = await chromiumLaunch({
  progress: (line) => process.stderr.write(`${line}\n`),
});

/** What a page and its service may take on a machine that has other work. */
const SOON_MS = 30_000;

/** As `eventually`, with the patience that a page needs. */
export const soon = <T>(attempt: () => T | Promise<T>): Promise<Exclude<T, false>> =>
  eventually(attempt, { timeoutMs: SOON_MS });

export interface Visit {
  page: Page;
  /** Scripts that failed, things that could not be loaded, warnings. Empty in a page that works. */
  faults: string[];
  /** Statuses that the page is expected to be answered with now and then, such as 422. */
  expect(...statuses: number[]): void;
}

export class Visitor {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(launch: ChromiumLaunch): Promise<Visitor> {
    return new Visitor(await chromium.launch(launch));
  }

  /** Opens a page as somebody who was never there. */
  async visit(url: string, options: BrowserContextOptions = {}): Promise<Visit> {
    const context = await this.#browser.newContext({ viewport: { width: 1_400, height: 1_000 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(SOON_MS);
    const faults: string[] = [];
    const expected = new Set<number>();
    page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
    page.on('dialog', (dialog) => {
      faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => {
      const status = Number(/status of (\d+)/.exec(message.text())?.[1]);
      if (!['error', 'warning'].includes(message.type()) || expected.has(status)) return;
      faults.push(`${message.type()}: ${message.text()} ${message.location().url}`);
    });
    await page.goto(url);
    return { page, faults, expect: (...statuses) => statuses.forEach((status) => void expected.add(status)) };
  }

  /** Ends all visits. */
  async leave(): Promise<void> {
    await Promise.all(this.#browser.contexts().map((context) => context.close()));
  }

  stop(): Promise<void> {
    return this.#browser.close();
  }
}
