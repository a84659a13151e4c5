/** The task queue with what its page shows: a Redis, queues of both lanes, jobs that went well and that did not. */
import { queueService } from '@plinth/queue';
import { type RunningService, startService } from '@plinth/service-kit';
import { startTestRedis } from '@plinth/testkit';

/** What would be a script in any page that takes text for markup. */
export const EVIL = '<img src=x onerror="document.title=\'broken\'">';

/** As the name of a job, which holds no spaces. */
export const EVIL_NAME = EVIL.replaceAll(' ', '/');

export interface Leased {
  id: string;
  token: string;
}

export class QueueUnderTest {
  readonly redisUrl: string;
  #service: RunningService;
  readonly #env: Record<string, string>;
  readonly #key: string | undefined;

  private constructor(service: RunningService, env: Record<string, string>, key?: string) {
    this.redisUrl = env.REDIS_URL!;
    this.#service = service;
    this.#env = env;
    this.#key = key;
  }

  /** @param env - More settings; with `REDIS_URL` no Redis of its own is started. */
  static async start(env: Record<string, string> = {}, key?: string): Promise<QueueUnderTest> {
    const all = { QUEUE_LOG_LEVEL: 'error', REDIS_URL: env.REDIS_URL ?? (await startTestRedis()).url, ...env };
    return new QueueUnderTest(await startService(queueService, { env: all, port: 0 }), all, key);
  }

  get url(): string {
    return this.#service.url;
  }

  stop(): Promise<void> {
    return this.#service.stop();
  }

  /** Starts it again at the same address. */
  async startAgain(): Promise<void> {
    this.#service = await startService(queueService, { env: this.#env, port: this.#service.port });
  }

  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects, or fails.
  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<any> {
    const answer = await fetch(this.url + path, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(this.#key && { authorization: `Bearer ${this.#key}` }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  async enqueue(queue: string, ...jobs: object[]): Promise<string[]> {
    const { jobs: added } = await this.ask('POST', `/v1/queues/${queue}/jobs`, jobs);
    return added.map(({ id }: { id: string }) => id);
  }

  async lease(queue: string, max = 1, worker = 'worker-1'): Promise<Leased[]> {
    return (await this.ask('POST', `/v1/queues/${queue}:lease`, { max, worker, waitMs: 2_000 })).jobs;
  }

  async ack(queue: string, { id, token }: Leased, result: unknown = { sent: true }): Promise<void> {
    await this.ask('POST', `/v1/queues/${queue}:ack`, { acks: [{ id, token, result }] });
  }

  async fail(queue: string, { id, token }: Leased, more: object = {}): Promise<void> {
    const error = {
      type: 'SmtpError',
      message: 'mailbox full',
      stack: 'SmtpError: mailbox full\n    at send (mail.js:7)',
    };
    await this.ask('POST', `/v1/queues/${queue}:ack`, { fails: [{ id, token, error, ...more }] });
  }

  /** Dead letters with these names, in this order. */
  async bury(queue: string, ...names: string[]): Promise<string[]> {
    const ids = await this.enqueue(queue, ...names.map((name) => ({ name })));
    for (const job of await this.lease(queue, names.length)) await this.fail(queue, job, { final: true });
    return ids;
  }

  counts(queue: string): Promise<Record<string, number>> {
    return this.ask('GET', `/v1/queues/${queue}/stats`).then(({ counts }) => counts);
  }
}
