import { expect, test } from '@jest/globals';
import { countTests } from './count-reporter.ts';

const file = (testFilePath: string, numPassingTests: number, numFailingTests: number) => ({
  testFilePath,
  numPassingTests,
  numFailingTests,
});

test('a file that does not load counts as one failed test', () => {
  const results = {
    numPassedTests: 5,
    numFailedTests: 2,
    numRuntimeErrorTestSuites: 1,
    testResults: [
      file('/a.test.ts', 2, 0),
      file('/b.test.ts', 3, 2),
      { ...file('/c.test.ts', 0, 0), testExecError: {} },
    ],
  };
  expect(countTests(results)).toEqual({
    passed: 5,
    failed: 3,
    failedFiles: [
      { path: '/b.test.ts', passed: 3 },
      { path: '/c.test.ts', passed: 0 },
    ],
  });
});
