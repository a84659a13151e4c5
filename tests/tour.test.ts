/** The tour's own rules; `npm run tour` takes it, and so does the last test here. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { isAsExpected, stepsOf } from './tour.ts';

const ROOT = new URL('..', import.meta.url).pathname;

describe('the tour', () => {
  test('steps are the commands of the console blocks, with the lines that follow them', () => {
    const markdown = '# x\n\n## Tour\n\n```console\n$ one\nits answer\n$ two\n```\n\n```sh\nnot this\n```\n\n## Next\n';
    expect(stepsOf(markdown)).toEqual([
      { command: 'one', expected: 'its answer\n' },
      { command: 'two', expected: '' },
    ]);
  });

  test('an answer may differ only where the README has an ellipsis', () => {
    expect(isAsExpected('{"revision":…}', '{"revision":17}\n')).toBe(true);
    expect(isAsExpected('{"revision":…}', '{"revisions":17}')).toBe(false);
    expect(isAsExpected('world', 'world!')).toBe(false);
  });

  test('every answer in README.md is the one that comes', () => {
    const { status, stdout } = spawnSync(process.execPath, ['tests/tour.ts'], { cwd: ROOT, encoding: 'utf8' });
    expect(`${stdout}`).toContain('The tour is true');
    expect(status).toBe(0);
  }, 120_000);
});
