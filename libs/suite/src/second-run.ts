/** Which files of a run are worth a second one, alone, and what both runs come to. */
import type { TestCount } from './count-reporter.ts';

/** More than this is no unlucky moment of the machine. */
const FILES_MAX = 3;

/** Absolute paths of the files to run again: all that failed, or none when there are too many. */
export function filesToRunAgain({ failedFiles }: TestCount): string[] {
  return failedFiles.length <= FILES_MAX ? failedFiles.map(({ path }) => path) : [];
}

/** Both runs as one count: of a file that was run again, the second run holds. */
export function addRerun(first: TestCount, second: TestCount): TestCount {
  const passedBefore = first.failedFiles.reduce((sum, { passed }) => sum + passed, 0);
  return { ...second, passed: first.passed - passedBefore + second.passed };
}
