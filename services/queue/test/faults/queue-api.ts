/** One queue over HTTP, as any program could speak to it, which says of every call whether it was answered. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AddedAnswer,
  type JobInput,
  type LeaseInput,
  type NextAnswer,
  type NextInput,
  type QueueInput,
  type SettleInput,
  STATES,
  type State,
  type StatsAnswer,
} from '@plinth/contracts/queue';

/** An answer that is not yes. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, text: string) {
    super(`${status}: ${text.slice(0, 300)}`);
    this.status = status;
    this.code = (jsonOrNothing(text) as { code?: string } | undefined)?.code ?? '';
  }
}

const ANSWER_TIMEOUT_MS = 30_000;
const PAUSE_MS = 50;
const PAGE = 1_000;

export class QueueApi {
  readonly url: string;
  readonly queue: string;

  constructor(url: string, queue: string) {
    this.url = url;
    this.queue = queue;
  }

  define(settings: QueueInput): Promise<unknown> {
    return this.#ask('PUT', '', settings);
  }

  /** @returns In the order of the jobs. */
  async enqueue(jobs: readonly JobInput[]): Promise<(AddedAnswer | { problem: { code: string } })[]> {
    return ((await this.#ask('POST', '/jobs', jobs)) as { jobs: AddedAnswer[] }).jobs;
  }

  /** Asks until all are in the queue; the dedup ids of the jobs make repeats harmless. @returns How often it asked. */
  async enqueueSurely(jobs: readonly JobInput[]): Promise<number> {
    for (let asked = 1; ; asked++) {
      const added = await this.enqueue(jobs).catch(() => []);
      if (added.length === jobs.length && added.every((each) => 'id' in each)) return asked;
      await sleep(PAUSE_MS);
    }
  }

  stats(): Promise<StatsAnswer> {
    return this.#ask('GET', '/stats') as Promise<StatsAnswer>;
  }

  async lease(ask: LeaseInput): Promise<NextAnswer['jobs']> {
    return ((await this.#ask('POST', ':lease', ask)) as NextAnswer).jobs;
  }

  next(ask: NextInput): Promise<NextAnswer> {
    return this.#ask('POST', ':next', ask) as Promise<NextAnswer>;
  }

  settle(ask: SettleInput): Promise<Pick<NextAnswer, 'settled'>> {
    return this.#ask('POST', ':ack', ask) as Promise<NextAnswer>;
  }

  /** @throws Refused `lease_lost` when the one job is somebody else's. */
  ack(id: string, token: string): Promise<unknown> {
    return this.settle({ acks: [{ id, token }] });
  }

  job(id: string): Promise<{ state: State; reason?: string; stalls: number; history: { outcome: string }[] }> {
    return this.#ask('GET', `/jobs/${id}`) as ReturnType<QueueApi['job']>;
  }

  /** The ids of jobs of that name. */
  idsByName(name: string): Promise<string[]> {
    return this.#idsOf(`name=${name}`);
  }

  /** The ids of all jobs in each state: some thousands a second. */
  async idsByState(): Promise<Map<State, string[]>> {
    const found = new Map<State, string[]>();
    for (const state of STATES) found.set(state, await this.#idsOf(`state=${state}`));
    return found;
  }

  async #idsOf(filter: string): Promise<string[]> {
    const ids: string[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const from: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page = (await this.#ask('GET', `/jobs?${filter}&limit=${PAGE}${from}`)) as {
        jobs: { id: string }[];
        cursor?: string;
      };
      ids.push(...page.jobs.map(({ id }) => id));
      cursor = page.cursor;
    }
    return ids;
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${this.url}/v1/queues/${this.queue}${path}`, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Refused(response.status, text);
    return jsonOrNothing(text);
  }
}

function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
