import { expect, test } from '@jest/globals';
import { addRerun, filesToRunAgain } from './second-run.ts';

const failed = (...paths: string[]) => ({
  passed: 100,
  failed: paths.length,
  failedFiles: paths.map((path) => ({ path, passed: 4 })),
});

test('a few files that failed are run again; many are simply broken', () => {
  expect(filesToRunAgain(failed())).toEqual([]);
  expect(filesToRunAgain(failed('/a', '/b', '/c'))).toEqual(['/a', '/b', '/c']);
  expect(filesToRunAgain(failed('/a', '/b', '/c', '/d'))).toEqual([]);
});

test('of a file that was run again, the second run is counted', () => {
  const passes = { passed: 10, failed: 0, failedFiles: [] };
  expect(addRerun(failed('/a', '/b'), passes)).toEqual({ passed: 102, failed: 0, failedFiles: [] });
  const failsAgain = { passed: 9, failed: 1, failedFiles: [{ path: '/b', passed: 4 }] };
  expect(addRerun(failed('/a', '/b'), failsAgain)).toEqual({ ...failsAgain, passed: 101 });
});
