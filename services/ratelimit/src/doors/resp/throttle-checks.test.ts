import { expect, test } from '@jest/globals';
import { policyOf } from '@plinth/limiter';
import { checkOf } from '../../core/verdict.ts';
import { ThrottleChecks } from './throttle-checks.ts';

const policy = policyOf({ limit: 3, windowMs: 1_000 });
const framed = (key: string) => ({ bytes: Buffer.from(`$${key.length}\r\n${key}\r\n`), start: 4, end: 4 + key.length });

test('a key is found by its bytes and its policy, whatever lies in its place', () => {
  const checks = new ThrottleChecks();
  const asked = new Map<string, object>();
  for (let number = 100; number < 999; number++) {
    const key = `key-${number}`;
    const { bytes, start, end } = framed(key);
    const check = checkOf(key, [], 1, 'take');
    checks.keep(bytes, start, end, policy, check);
    bytes.fill(0);
    asked.set(key, check);
  }
  let found = 0;
  for (const [key, check] of asked) {
    const { bytes, start, end } = framed(key);
    const known = checks.find(bytes, start, end, policy);
    if (known === undefined) continue;
    found++;
    expect(known).toBe(check);
    expect(checks.find(bytes, start, end, policyOf({ limit: 3, windowMs: 1_000 }))).toBeUndefined();
    expect(checks.find(bytes, start, end - 1, policy)).not.toBe(check);
  }
  expect(found).toBeGreaterThan(600);
});
