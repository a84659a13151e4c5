import { expect, test } from '@jest/globals';
import { countTests } from './count-reporter.ts';

test('a file that does not load counts as one failed test', () => {
  const results = { numPassedTests: 5, numFailedTests: 2, numRuntimeErrorTestSuites: 1 };
  expect(countTests(results)).toEqual({ passed: 5, failed: 3 });
});
