/** The rate limiter with all it needs for its page: a bus, a key-value store for the rules, and some traffic. */
import { kvService } from '@plinth/kv';
import { ratelimitService } from '@plinth/ratelimit';
import { type RunningService, startService } from '@plinth/service-kit';
import { startTestNats, tempDir } from '@plinth/testkit';

export const RULES = `domain: api
rules:
  - name: user
    match: { user: "*" }
    limit: 10
    window: 1h
    algorithm: fixed
`;

/** A key that would be a script in any page that takes text for markup. */
export const EVIL = '<img src=x onerror="document.title=\'broken\'">';

export class Limiter {
  readonly #natsUrl: string;
  readonly #kv: RunningService;
  #service: RunningService;

  private constructor(natsUrl: string, kv: RunningService, service: RunningService) {
    this.#natsUrl = natsUrl;
    this.#kv = kv;
    this.#service = service;
  }

  static async start(): Promise<Limiter> {
    const { url } = await startTestNats();
    const kvEnv = { NATS_URL: url, KV_DATA_DIR: tempDir('kv'), KV_LOG_LEVEL: 'error' };
    const kv = await startService(kvService, { env: kvEnv, port: 0 });
    return new Limiter(url, kv, await startRatelimit(url, 0));
  }

  get url(): string {
    return this.#service.url;
  }

  /** Ends the service; what it knew is gone with it. */
  stopService(): Promise<void> {
    return this.#service.stop();
  }

  /** Starts it again at the same address. */
  async startService(): Promise<void> {
    this.#service = await startRatelimit(this.#natsUrl, this.#service.port);
  }

  async stop(): Promise<void> {
    await this.#service.stop();
    await this.#kv.stop();
  }

  async putRules(text: string, domain = 'api'): Promise<void> {
    const response = await fetch(`${this.url}/v1/rules/${domain}`, { method: 'PUT', body: text });
    if (!response.ok) throw new Error(await response.text());
  }

  async rules(domain = 'api'): Promise<string> {
    return (await fetch(`${this.url}/v1/rules/${domain}`)).text();
  }

  /** One check for each user, in order. */
  async check(users: readonly string[], domain = 'api'): Promise<void> {
    const body = JSON.stringify(users.map((user) => ({ domain, descriptors: [{ user }] })));
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${this.url}/v1/limits/check`, { method: 'POST', headers, body });
    if (!response.ok) throw new Error(await response.text());
  }
}

function startRatelimit(natsUrl: string, port: number): Promise<RunningService> {
  const ports = { RATELIMIT_RLS_PORT: '0', RATELIMIT_RESP_PORT: '0' };
  return startService(ratelimitService, { env: { NATS_URL: natsUrl, RATELIMIT_LOG_LEVEL: 'error', ...ports }, port });
}

export const times = (count: number, user: string): string[] => Array.from({ length: count }, () => user);
