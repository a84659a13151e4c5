import { expect, test } from '@jest/globals';
import { RulesRefused } from './fault.ts';
import { parseRules } from './parse-rules.ts';
import { parseRulesAside } from './rule-parser.ts';

const document = (rules: number, limit = '5') =>
  `domain: d\nrules:\n${Array.from({ length: rules }, (_, at) => `  - {name: r${at}, match: {a: v${at}, b: "*"}, limit: ${limit}, window: 1m, allow: [10.0.0.0/8], overrides: {x: ${at}, y: unlimited}}`).join('\n')}\n`;

test.each([1, 1_000])('%d rules read in another thread are those read in this one', async (count) => {
  const text = document(count);
  const here = parseRules(text, 'a.yaml');
  const there = await parseRulesAside(text, 'a.yaml');
  expect(there).toMatchObject({ domain: 'd', text, source: 'a.yaml', search: 'thorough' });
  const plain = (rules: typeof here.rules) =>
    rules.map(({ allows, denies, overrides, ...rest }) => ({ ...rest, overrides: [...overrides] }));
  expect(plain(there.rules)).toEqual(plain(here.rules));
  expect(there.rules.map(({ allows }) => [allows('10.1.1.1'), allows('y'), allows('z')])).toEqual(
    here.rules.map(() => [true, true, false]),
  );
  expect(there.paths.map(({ rule }) => rule)).toEqual(there.rules);
});

test('faults come back from there as they are here', async () => {
  const text = document(1_000, '-1');
  const thrown = await parseRulesAside(text, 'a.yaml').catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(RulesRefused);
  const { faults } = thrown as RulesRefused;
  expect(faults).toHaveLength(100);
  expect(String(faults[0])).toBe(
    'a.yaml:3:47: limit is -1; it must be a whole number from 0 to 1,000,000,000, or unlimited',
  );
});

test('ten thousand rules do not hold up this thread', async () => {
  const text = document(10_000);
  await parseRulesAside(document(1_000), 'warm-up');
  let longestMs = 0;
  let beforeMs = performance.now();
  const timer = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - beforeMs);
    beforeMs = performance.now();
  }, 1);
  const startedMs = performance.now();
  await parseRulesAside(text, 'a.yaml');
  clearInterval(timer);
  const tookMs = performance.now() - startedMs;
  process.stderr.write(
    `10,000 rules: ${tookMs.toFixed(0)} ms in another thread, at most ${longestMs.toFixed(0)} ms at once in this one\n`,
  );
  expect(longestMs).toBeLessThan(tookMs / 3);
});
