import { expect, test } from '@jest/globals';
import { ratelimit } from '@plinth/contracts';
import { CHECK_LIMITS } from './check-form.ts';
import { limitsEndpoints } from './limits-service.ts';

test('every operation that is used is as it is in the contract', () => {
  const { checkLimits, peek, refund, reset, block, reportUse, acquire, heartbeat, release, lease, giveBack } =
    ratelimit;
  const used = [checkLimits, peek, refund, reset, block, reportUse, acquire, heartbeat, release, lease, giveBack];
  const contract = used.map(({ service, name, method, path, subject, idempotent, streams }) => [
    name,
    { service, name, method, path, subject, idempotent, streams, isKeyed: false },
  ]);
  expect(limitsEndpoints).toEqual(Object.fromEntries(contract));
});

test('limits of checks are those of the contract', () => {
  expect(ratelimit.LIMITS).toMatchObject(CHECK_LIMITS);
});
