/**
 * `helm test`, and Tilt's button: does a limiter that runs somewhere really limit? Takes a limit to its end through its
 * HTTP API, as any caller would, and knocks at the doors that are open besides. One line a step; ends with 1 at the first
 * that fails.
 *
 *     RATELIMIT_URL=http://127.0.0.1:7402 API_ROOT_KEY_FILE=/run/secrets/plinth/root-key node smoke/main.ts
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';

const {
  RATELIMIT_URL = 'http://127.0.0.1:7402',
  RATELIMIT_RLS_ADDRESS,
  RATELIMIT_RESP_ADDRESS,
  API_ROOT_KEY_FILE,
} = process.env;
const TIMEOUT_MS = 10_000;
const LIMIT = 5;
/** Two runs at a time do not take from each other. */
const KEY = `smoke-${randomUUID()}`;
const CHECK = JSON.stringify({ key: KEY, limit: { limit: LIMIT, windowMs: 600_000, algorithm: 'strict' } });

const authorization = API_ROOT_KEY_FILE && `Bearer ${readFileSync(API_ROOT_KEY_FILE, 'utf8').trim()}`;

async function call<Body>(path: string, body?: string): Promise<Body> {
  const headers = { 'content-type': 'application/json', ...(authorization && { authorization }) };
  const init = { headers, signal: AbortSignal.timeout(TIMEOUT_MS) };
  const response = await fetch(
    `${RATELIMIT_URL}${path}`,
    body === undefined ? init : { ...init, method: 'POST', body },
  );
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Body;
}

const allows = async (path: string): Promise<boolean> => (await call<{ allowed: boolean }>(path, CHECK)).allowed;

function expectEqual(what: string, found: unknown, wanted: unknown): void {
  const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`${what} is ${is}, and should be ${should}`);
}

/** The answer of gRPC's own health check, over HTTP/2 as it is: a frame of one message, and the status behind it. */
function grpcHealth(address: string): Promise<{ message: string; status: unknown }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ message: string; status: unknown }>();
  const session = connectHttp2(`http://${address}`);
  const head = { ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', te: 'trailers' };
  const stream = session.request(
    { ...head, 'content-type': 'application/grpc' },
    { signal: AbortSignal.timeout(TIMEOUT_MS) },
  );
  const chunks: Buffer[] = [];
  let status: unknown;
  const read = (headers: { 'grpc-status'?: unknown }) => {
    status = headers['grpc-status'];
  };
  stream.on('response', read);
  stream.on('trailers', read);
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => resolve({ message: Buffer.concat(chunks).toString('hex'), status }));
  stream.on('error', reject);
  session.on('error', reject);
  // Of no service in particular: an empty message.
  stream.end(Buffer.alloc(5));
  return promise.finally(() => session.destroy());
}

/** What a Redis client would be told for `PING`. */
function respPing(address: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const [, host, port] = /^(.*):(\d+)$/.exec(address)!;
  const socket = connectTcp({ host, port: Number(port), timeout: TIMEOUT_MS }, () => socket.write('PING\r\n'));
  socket.once('data', (chunk) => resolve(chunk.toString()));
  socket.once('timeout', () => reject(new Error('no answer')));
  socket.once('error', reject);
  return promise.finally(() => socket.destroy());
}

const steps: Record<string, () => Promise<void>> = {
  async limit() {
    const allowed: boolean[] = [];
    for (let round = 0; round <= LIMIT; round++) allowed.push(await allows('/v1/limits/check'));
    expectEqual('what was allowed', allowed, [true, true, true, true, true, false]);
  },
  async reset() {
    await call('/v1/limits/reset', CHECK);
    expectEqual('after a reset, peek', await allows('/v1/limits/peek'), true);
  },
  async document() {
    const { paths } = await call<{ paths: object }>('/openapi.json');
    expectEqual('the check in /openapi.json', '/v1/limits/check' in paths, true);
  },
};
if (RATELIMIT_RLS_ADDRESS !== undefined) {
  steps.rls = async () => {
    // A frame that is not compressed, 2 bytes long: field 1 is 1, SERVING.
    expectEqual('health by gRPC', await grpcHealth(RATELIMIT_RLS_ADDRESS), { message: '00000000020801', status: '0' });
  };
}
if (RATELIMIT_RESP_ADDRESS !== undefined) {
  steps.resp = async () => expectEqual('PING', await respPing(RATELIMIT_RESP_ADDRESS), '+PONG\r\n');
}

for (const [name, run] of Object.entries(steps)) {
  const startMs = performance.now();
  await run().catch((error: Error) => {
    console.log(`${name}: failed: ${error.message} ${error.cause ?? ''}`);
    process.exit(1);
  });
  console.log(`${name}: ok, ${(performance.now() - startMs).toFixed(0)} ms`);
}
