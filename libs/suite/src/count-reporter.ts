/** A jest reporter that writes what `npm test` counts to the file named by PLINTH_TEST_COUNT. */
import { writeFileSync } from 'node:fs';

/** The part of jest's results that is counted. */
export interface JestResults {
  numPassedTests: number;
  numFailedTests: number;
  /** Files that could not be loaded, so none of their tests ran. */
  numRuntimeErrorTestSuites: number;
  testResults: {
    testFilePath: string;
    numPassingTests: number;
    numFailingTests: number;
    /** Set when the file did not load. */
    testExecError?: unknown;
  }[];
}

/** Counts of a whole run. */
export interface TestCount {
  passed: number;
  failed: number;
  failedFiles: FailedFile[];
}

/** A file with a test that failed, or that did not load. */
export interface FailedFile {
  /** Absolute. */
  path: string;
  /** Of its tests, those that passed. */
  passed: number;
}

/** Counts tests; a file that does not load counts as one failed test, since its promises went unchecked. */
export function countTests(results: JestResults): TestCount {
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
    failedFiles: results.testResults
      .filter(({ numFailingTests, testExecError }) => numFailingTests > 0 || testExecError !== undefined)
      .map(({ testFilePath, numPassingTests }) => ({ path: testFilePath, passed: numPassingTests })),
  };
}

/** Long enough for any test file to close what it opened. */
const EXIT_GRACE_MS = 5_000;

/** Jest makes one of these itself, which is why it is the default export. */
export default class CountReporter {
  /** Called once, when the whole run is over. */
  onRunComplete(_contexts: unknown, results: JestResults): void {
    const count = countTests(results);
    writeFileSync(process.env.PLINTH_TEST_COUNT as string, JSON.stringify(count));
    endEvenIfSomethingIsOpen(count);
  }
}

/** Something a test left open would keep jest, and so `npm test`, from ever ending. A clean run ends before this. */
function endEvenIfSomethingIsOpen({ failed }: TestCount): void {
  const end = () => {
    console.error('A test left something open, so jest was ended by force; --detectOpenHandles helps to find it.');
    process.exit(failed === 0 ? 0 : 1);
  };
  setTimeout(end, EXIT_GRACE_MS).unref();
}
