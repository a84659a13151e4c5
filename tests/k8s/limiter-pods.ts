/** The pods of a rate limiter, each by itself: what it knows of the others, and which rules it has. */
import { setTimeout as sleep } from 'node:timers/promises';
import { get, type KubeObject, portForward, until } from './cluster.ts';
import type { Release } from './release.ts';

/** Into so many parts all keys are divided. */
export const PARTS = 1_024;
const PORT = 7402;

export const isReady = ({ status }: KubeObject): boolean =>
  status.conditions?.some(({ type, status: is }: KubeObject) => type === 'Ready' && is === 'True') === true;

export class LimiterPods {
  readonly #release: Release;

  constructor(release: Release) {
    this.#release = release;
  }

  /** Those that are not told to go. */
  async list(): Promise<KubeObject[]> {
    return (await this.#all()).filter(({ metadata }: KubeObject) => metadata.deletionTimestamp === undefined);
  }

  /** Resolves when pods that stop have stopped. */
  async settled(): Promise<void> {
    await until('the old pods are gone', 90, async () => (await this.#all()).length === (await this.list()).length);
  }

  /** Calls with an address for each pod that is ready. */
  async each<T>(work: (urls: string[]) => Promise<T>): Promise<T> {
    const names = (await this.list()).filter(isReady).map(({ metadata }) => metadata.name);
    const { namespace } = this.#release;
    const forwards = await Promise.all(names.map((name) => portForward(namespace, `pod/${name}`, PORT)));
    try {
      return await work(forwards.map(({ url }) => url));
    } finally {
      for (const forward of forwards) forward.stop();
    }
  }

  /** Resolves when so many pods know of each other and each part is decided by one of them, with how many each has. */
  async divided(count: number): Promise<number[]> {
    let parts: number[] = [];
    await until(`${count} pods that divide the keys`, 60, () =>
      this.each(async (urls) => {
        const texts = await Promise.all(urls.map(async (url) => (await fetch(`${url}/metrics`)).text()));
        parts = texts.map((text) => figure(text, 'plinth_ratelimit_owners_slots'));
        const members = texts.map((text) => figure(text, 'plinth_ratelimit_owners_members'));
        const sum = parts.reduce((all, part) => all + part, 0);
        return parts.length === count && members.every((each) => each === count) && sum === PARTS;
      }),
    );
    return parts;
  }

  /** The rules of a domain as each pod has them. */
  rules(domain: string, headers: Record<string, string>): Promise<string[]> {
    return this.each((urls) =>
      Promise.all(urls.map(async (url) => (await fetch(`${url}/v1/rules/${domain}`, { headers })).text())),
    );
  }

  async #all(): Promise<KubeObject[]> {
    return (await get('-n', this.#release.namespace, 'pods', '-l', this.#release.labels('ratelimit'))).items;
  }
}

function figure(metrics: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)?.[1]);
}

/** When an address answers a text for the first time, by `performance.now()`. */
export async function seenMs(url: string, text: string, headers: Record<string, string>): Promise<number> {
  const deadlineMs = performance.now() + 10_000;
  while (performance.now() < deadlineMs) {
    if ((await (await fetch(url, { headers })).text()) === text) return performance.now();
    await sleep(5);
  }
  throw new Error(`${url} never answered the new text`);
}
