/** Calendar quotas outlive the process: over a stop in order nothing is forgotten, over SIGKILL the last second at most. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { freePort, type ProcessUnderTest, runProcess, tempDir, withNats } from '@plinth/testkit';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const nats = withNats();
const RULES = `
domain: plans
rules:
  - {name: monthly, match: {account: "*"}, algorithm: calendar, limit: 1000, period: month}
  - {name: burst, match: {ip: "*"}, limit: 1000, window: 10m}
`;
const folder = join(tempDir(), 'rules');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'plans.yaml'), RULES);

interface Limiter {
  process: ProcessUnderTest;
  remaining(of: Record<string, string>, cost: number): Promise<number>;
}

async function startLimiter(): Promise<Limiter> {
  const port = await freePort();
  const env = {
    NATS_URL: nats.url,
    RATELIMIT_PORT: String(port),
    RATELIMIT_RLS_PORT: '0',
    RATELIMIT_RESP_PORT: '0',
    RATELIMIT_RULES_DIR: folder,
    RATELIMIT_RULES_IN_KV: 'false',
  };
  const process = runProcess({ script: MAIN, env });
  await process.waitForLine(/"msg":"ready"/);
  const headers = { 'content-type': 'application/json' };
  return {
    process,
    async remaining(of, cost) {
      const body = JSON.stringify({ domain: 'plans', descriptors: [of], cost });
      const answer = await fetch(`http://127.0.0.1:${port}/v1/limits/check`, { method: 'POST', body, headers });
      const { limits } = (await answer.json()) as { limits: { remaining: number }[] };
      return limits[0]!.remaining;
    },
  };
}

describe('a quota of a month', () => {
  test('goes on where it was after a stop in order; a limit of minutes begins anew', async () => {
    const first = await startLimiter();
    expect(await first.remaining({ account: 'a' }, 400)).toBe(600);
    expect(await first.remaining({ ip: 'x' }, 400)).toBe(600);
    await first.process.kill('SIGTERM');
    const second = await startLimiter();
    expect(await second.remaining({ account: 'a' }, 0)).toBe(600);
    expect(await second.remaining({ ip: 'x' }, 0)).toBe(1_000);
    await second.process.kill('SIGTERM');
  }, 30_000);

  test('forgets over SIGKILL what was taken in the last second at most', async () => {
    const first = await startLimiter();
    await first.remaining({ account: 'b' }, 300);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await first.remaining({ account: 'b' }, 100);
    await first.process.kill();
    const second = await startLimiter();
    const left = await second.remaining({ account: 'b' }, 0);
    console.log(`of 400 units taken, 100 of them just before SIGKILL, ${1_000 - left} are remembered`);
    expect(left).toBeGreaterThanOrEqual(600);
    expect(left).toBeLessThanOrEqual(700);
    await second.process.kill('SIGTERM');
  }, 30_000);
});
