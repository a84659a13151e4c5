/** A store of the test's own, in this process, over real HTTP, in a folder that goes with the test file. */
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { PROBLEM_TYPE_PREFIX } from '@plinth/problem';
import { type RunningService, startService } from '@plinth/service-kit';
import { tempDir } from '@plinth/testkit';
import { kvService } from '../../src/service.ts';

export interface Answer {
  status: number;
  headers: Headers;
  bytes: Buffer;
  text: string;
  /** The body as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: answers have every shape, and each test says which it expects.
  json: any;
}

export interface CallOptions {
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Sent as JSON. */
  json?: unknown;
}

export interface KvOptions {
  env?: Record<string, string>;
  now?: () => number;
  dir?: string;
}

export class KvUnderTest {
  readonly dir: string;
  readonly #options: KvOptions;
  /** What the service logged as errors: bugs, mostly. */
  readonly faults: string[] = [];
  #running: RunningService | undefined;

  constructor(options: KvOptions = {}) {
    this.#options = options;
    this.dir = options.dir ?? tempDir('kv-api');
  }

  async start(): Promise<this> {
    const { env, now } = this.#options;
    const silent = () => {};
    const error = (msg: string, fields?: object) => this.faults.push(`${msg} ${inspect(fields)}`);
    this.#running = await startService(kvService, {
      env: { KV_DATA_DIR: this.dir, ...env },
      kit: { log: { debug: silent, info: silent, warn: silent, error }, ...(now && { now }) },
      port: 0,
    });
    return this;
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
    this.#running = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  get url(): string {
    return this.#running!.url;
  }

  get port(): number {
    return this.#running!.port;
  }

  async call(method: string, path: string, { headers = {}, body, json }: CallOptions = {}): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(json === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(body === undefined ? {} : { body: body as string }),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    return {
      status: response.status,
      headers: response.headers,
      bytes,
      text: bytes.toString('utf8'),
      get json() {
        return JSON.parse(bytes.toString('utf8'));
      },
    };
  }

  get = (path: string, headers: Record<string, string> = {}) => this.call('GET', path, { headers });
  head = (path: string, headers: Record<string, string> = {}) => this.call('HEAD', path, { headers });
  delete = (path: string, headers: Record<string, string> = {}) => this.call('DELETE', path, { headers });
  post = (path: string, json?: unknown, headers: Record<string, string> = {}) =>
    this.call('POST', path, { headers, ...(json === undefined ? {} : { json }) });

  /** Puts bytes, without a content type unless one is given. */
  put = (path: string, value: string | Uint8Array, headers: Record<string, string> = {}) =>
    this.call('PUT', path, { headers, body: Buffer.from(value as string) });

  /** Puts and @returns the revision. */
  async wrote(path: string, value: string | Uint8Array, headers: Record<string, string> = {}): Promise<number> {
    const answer = await this.put(path, value, headers);
    expect([201, 204]).toContain(answer.status);
    return Number(answer.headers.get('kv-revision'));
  }

  async bucket(name: string, settings: Record<string, unknown> = {}): Promise<Answer> {
    const answer = await this.call('PUT', `/v1/buckets/${name}`, { json: settings });
    expect([200, 201]).toContain(answer.status);
    return answer;
  }

  /** All keys of a bucket as the list gives them. */
  async keys(bucket: string, query = ''): Promise<string[]> {
    const { json } = await this.get(`/v1/kv/${bucket}?limit=10000${query}`);
    return json.items.map(({ key, keyBase64 }: { key?: string; keyBase64?: string }) => key ?? `base64:${keyBase64}`);
  }
}

/** Gives a test file its store, started before the first test and stopped behind the last one. */
export function withKv(options: KvOptions = {}): KvUnderTest {
  const kv = new KvUnderTest(options);
  beforeAll(async () => {
    await kv.start();
  });
  afterAll(async () => {
    await kv.stop();
    expect(kv.faults).toEqual([]);
  });
  return kv;
}

/** Checks that an answer carries a problem, whole and in its form. @returns Its body. */
export function problemIn(answer: Answer, status: number, code: string): Answer['json'] {
  expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(`"code":"${code}"`)]);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  const body = answer.json;
  expect(body).toMatchObject({ type: PROBLEM_TYPE_PREFIX + code, status, code });
  expect(body.instance).toBe(answer.headers.get('request-id'));
  return body;
}
