import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Bus, connectBus } from '@plinth/bus';
import { json, type Operation, ratelimit, type Served } from '@plinth/contracts';
import { eventually, withNats } from '@plinth/testkit';
import { createRateLimiter, serviceGuard } from '../src/rate-limit.ts';
import { LimitsServer } from './limits-server.ts';

const nats = withNats();
const RULES = { standard: { limit: 2, windowMs: 60_000 }, large: { limit: 1_000_000, windowMs: 1_000 } };
const OPERATIONS = [
  ratelimit.checkLimits,
  ratelimit.peek,
  ratelimit.lease,
  ratelimit.giveBack,
  ratelimit.refund,
] as Operation[];

let bus: Bus;
let warnings: string[];
const log = { info() {}, warn: (msg: string) => void warnings.push(msg), error() {} };

beforeEach(async () => {
  warnings = [];
  bus = await connectBus({ url: nats.url, name: 'test', log });
});
afterEach(() => bus.close());

/** Serves the small service's answers on the bus. */
async function serveLimits(): Promise<Bus> {
  const limits = new LimitsServer({ rules: RULES });
  const served = OPERATIONS.map(
    (operation): Served => ({
      operation,
      handle: ({ body }) => json(200, limits.answerTo(operation.path.split('/').at(-1)!, body as never)),
    }),
  );
  const serving = await connectBus({ url: nats.url, name: 'limits', log });
  await serving.serve({ name: 'ratelimit', version: '1.0.0', description: 'for a test' }, served);
  return serving;
}

describe('the guard of a service', () => {
  test('refuses a key that is over its limit, by the bus, and no other', async () => {
    const serving = await serveLimits();
    const guard = serviceGuard({ bus, log, timeoutMs: 5_000 });
    const ask = (keyId: string) => guard.refusal({ keyId, limitName: 'standard' });
    expect([await ask('ann'), await ask('ann')]).toEqual([undefined, undefined]);
    expect(await ask('ann')).toMatchObject({ code: 'rate_limited', status: 429, retryAfterMs: expect.any(Number) });
    expect(await ask('bob')).toBeUndefined();
    await guard.close();
    await serving.close();
  });

  test('answers without a promise once it has units', async () => {
    const serving = await serveLimits();
    const guard = serviceGuard({ bus, log, timeoutMs: 5_000 });
    await eventually(
      async () => {
        for (let at = 0; at < 20; at++) await guard.refusal({ keyId: 'ann', limitName: 'large' });
        return guard.refusal({ keyId: 'ann', limitName: 'large' }) === undefined;
      },
      { intervalMs: 1 },
    );
    await guard.close();
    await serving.close();
  });

  test('lets all in without a limiter, and says so once', async () => {
    const guard = serviceGuard({ bus, log });
    for (let at = 0; at < 20; at++)
      expect(await guard.refusal({ keyId: 'ann', limitName: 'standard' })).toBeUndefined();
    expect(warnings).toEqual(['the rate limiter is away; limits are decided without it']);
    await guard.close();
  });

  test('lets in who is to be limited by what is not there, and says so once for each', async () => {
    const serving = await serveLimits();
    const guard = serviceGuard({ bus, log, timeoutMs: 5_000 });
    for (let at = 0; at < 3; at++) expect(await guard.refusal({ keyId: 'ann', limitName: 'nowhere' })).toBeUndefined();
    expect(await guard.refusal({ keyId: '', limitName: 'standard' })).toBeUndefined();
    expect(warnings).toEqual(['API keys are not limited', 'API keys are not limited']);
    await guard.close();
    await serving.close();
  });
});

test('a limiter on a bus leaves the bus open', async () => {
  const serving = await serveLimits();
  const limiter = createRateLimiter({ bus, timeoutMs: 5_000 });
  const answers = await limiter.check([
    { limit: 'standard', key: 'zoe', cost: 2 },
    { limit: 'standard', key: 'zoe' },
  ]);
  expect(answers.map(({ allowed }) => allowed)).toEqual([true, false]);
  await limiter.close();
  await bus.flush();
  await serving.close();
});
