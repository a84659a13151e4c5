/** The limiter guards the suite's own APIs: a key whose line names a limit is limited by it, in whatever service. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { kvService } from '@plinth/kv';
import { ratelimitService } from '@plinth/ratelimit';
import { type RunningService, startService } from '@plinth/service-kit';
import { eventually, startTestNats, tempDir } from '@plinth/testkit';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const KEYS = { partner: 'plk_partner-0123456789abcdef', free: 'plk_free-0123456789abcdefghi' };
/** So long the guard of an API waits for a decision. */
const GUARD_MS = 20;
const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');

const RULES = `
domain: api-keys
rules:
  - {name: partner, match: {key: "*"}, limit: 5, window: 1h}
`;

async function startAll(): Promise<{ kv: RunningService; limiter: RunningService; nats: { stop(): Promise<void> } }> {
  const nats = await startTestNats();
  const dir = tempDir();
  const keysFile = join(dir, 'keys');
  writeFileSync(
    keysFile,
    [`partner ${sha256(KEYS.partner)} kv:* limit=partner`, `free ${sha256(KEYS.free)} kv:*`].join('\n'),
  );
  mkdirSync(join(dir, 'rules'));
  writeFileSync(join(dir, 'rules', 'keys.yaml'), RULES);
  const limiter = await startService(ratelimitService, {
    port: 0,
    env: {
      NATS_URL: nats.url,
      RATELIMIT_RULES_DIR: join(dir, 'rules'),
      RATELIMIT_RLS_PORT: '0',
      RATELIMIT_RESP_PORT: '0',
    },
    kit: { log: silent },
  });
  const kv = await startService(kvService, {
    port: 0,
    env: { NATS_URL: nats.url, KV_DATA_DIR: join(dir, 'kv'), API_KEYS_FILE: keysFile },
    kit: { log: silent },
  });
  return { kv, limiter, nats };
}

test('a key is limited across requests, told why, and others are not; without the limiter it is let in', async () => {
  const { kv, limiter, nats } = await startAll();
  const put = (key: string) =>
    fetch(`${kv.url}/v1/kv/demo/x`, { method: 'PUT', body: 'v', headers: { authorization: `Bearer ${key}` } });
  try {
    // The first decision of a cold process may take longer than the guard waits, and then the request is let in.
    await put(KEYS.partner);
    const body = JSON.stringify({ domain: 'api-keys', limit: 'partner', key: 'partner' });
    await fetch(`${limiter.url}/v1/limits/reset`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });

    let [admitted, late] = [0, 0];
    const isDenied = async () => {
      const startMs = performance.now();
      const answer = await put(KEYS.partner);
      if (performance.now() - startMs >= GUARD_MS) late++;
      if (answer.status === 204) admitted++;
      expect(answer.status).toBe(429);
      return answer;
    };
    const denied = await eventually(isDenied, { timeoutMs: 20_000, intervalMs: 0 });
    // A decision that does not come in time lets its request in.
    expect(admitted).toBeGreaterThanOrEqual(5);
    if (late === 0) expect(admitted).toBe(5);
    expect((await put(KEYS.partner)).status).toBe(429);
    expect(denied.headers.get('retry-after')).not.toBeNull();
    expect(await denied.json()).toMatchObject({ code: 'rate_limited', 'violated-policies': ['partner'] });
    expect((await put(KEYS.free)).ok).toBe(true);
    // Health is asked by whoever restarts it: never limited.
    expect((await fetch(`${kv.url}/healthz`)).status).toBe(200);

    await limiter.stop();
    await eventually(async () => expect((await put(KEYS.partner)).ok).toBe(true), { timeoutMs: 20_000 });
  } finally {
    await kv.stop();
    await limiter.stop();
    await nats.stop();
  }
});
