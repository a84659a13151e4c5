/**
 * `helm test`, and Tilt's button: does a store that runs somewhere really store? Writes, reads, lists and watches through
 * its HTTP API, as any caller would, then removes what it wrote. One line a step; ends with 1 at the first that fails.
 *
 *     KV_URL=http://127.0.0.1:7401 API_ROOT_KEY_FILE=/run/secrets/plinth/root-key node smoke/main.ts
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

const { KV_URL = 'http://127.0.0.1:7401', API_ROOT_KEY_FILE } = process.env;
const TIMEOUT_MS = 10_000;
const BUCKET = 'smoke';
/** Two runs at a time do not see each other's keys. */
const RUN = `${randomUUID()}/`;

const authorization = API_ROOT_KEY_FILE && `Bearer ${readFileSync(API_ROOT_KEY_FILE, 'utf8').trim()}`;

async function call(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<Response> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const sent = { ...headers, ...(authorization && { authorization }) };
  const response = await fetch(`${KV_URL}${path}`, { method, body, signal, headers: sent });
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
  return response;
}

function expectEqual(what: string, found: unknown, wanted: unknown): void {
  const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`${what} is ${is}, and should be ${should}`);
}

type Change = { type: string; key?: string; value?: string };

/** The lines of a watch, as they come. */
async function* changes(response: Response): AsyncGenerator<Change> {
  let rest = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.filter(Boolean)) yield JSON.parse(line);
  }
}

const steps: Record<string, () => Promise<void>> = {
  async write() {
    await call('PUT', `/v1/buckets/${BUCKET}`, '{}', { 'content-type': 'application/json' });
    for (const name of ['a', 'b']) await call('PUT', `/v1/kv/${BUCKET}/${RUN}${name}`, `value of ${name}`);
  },
  async read() {
    expectEqual('a', await (await call('GET', `/v1/kv/${BUCKET}/${RUN}a`)).text(), 'value of a');
  },
  async list() {
    const { items } = (await (await call('GET', `/v1/kv/${BUCKET}?prefix=${RUN}`)).json()) as { items: Change[] };
    const keys = items.map(({ key }) => key);
    expectEqual('the list', keys, [`${RUN}a`, `${RUN}b`]);
  },
  async watch() {
    const path = `/v1/watch/${BUCKET}?prefix=${RUN}&initial=true`;
    const stream = await call('GET', path, undefined, { accept: 'application/x-ndjson' });
    const seen: string[] = [];
    for await (const { type, key, value } of changes(stream)) {
      if (type !== 'progress') seen.push(`${type} ${value ?? ''}`.trim());
      if (type === 'sync') await call('PUT', `/v1/kv/${BUCKET}/${RUN}c`, 'value of c');
      if (key === `${RUN}c`) break;
    }
    expectEqual('the watch', seen, ['put value of a', 'put value of b', 'sync', 'put value of c']);
  },
  async remove() {
    await call('DELETE', `/v1/kv/${BUCKET}?prefix=${RUN}`);
  },
};

for (const [name, run] of Object.entries(steps)) {
  const startMs = performance.now();
  await run().catch((error: Error) => {
    console.log(`${name}: failed: ${error.message} ${error.cause ?? ''}`);
    process.exit(1);
  });
  console.log(`${name}: ok, ${(performance.now() - startMs).toFixed(0)} ms`);
}
