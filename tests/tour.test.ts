/** The tour's own rules; `npm run tour` takes it, and so does the last test here. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { jaegerServer } from '@plinth/engines';
import { isAsExpected, stepsOf } from './tour.ts';

const ROOT = new URL('..', import.meta.url).pathname;

const jaeger = await jaegerServer({ mayFetch: false }).catch(() => undefined);
if (jaeger === undefined) console.log('tour: the step through Jaeger is skipped, no Jaeger is on this machine');
const withJaeger = jaeger === undefined ? test.skip : test;

function run(script: string, env: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string } {
  return spawnSync(process.execPath, [script], { cwd: ROOT, encoding: 'utf8', env: { ...process.env, ...env } });
}
/** Nothing listens there. */
const NO_JAEGER = { PLINTH_JAEGER_URL: 'http://127.0.0.1:9' };
const JOB_TREE = `queue  POST /v1/queues/{queue}/jobs  … ms
└─ queue  send tour  … ms
   └─ queue  receive tour  … ms
   └─ queue  request plinth.kv.v1.put  … ms
      └─ kv  process plinth.kv.v1.put  … ms
`;
const TREE = 'kv  PUT /v1/kv/{bucket}/{+key}  … ms\n└─ kv  commit  … ms  → commit, shared by 1\n';

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
    const { status, stdout } = run('tests/tour.ts');
    expect(stdout).toContain('The tour is true');
    expect(status).toBe(0);
  }, 300_000);

  withJaeger(
    'the trace at its end comes from Jaeger, with a link to it',
    () => {
      const { stdout } = run('tests/tour.ts', NO_JAEGER);
      const [, printed = ''] = stdout.split('$ node docs/tour/trace.mjs $KV $QUEUE\n');
      const link = 'http://127.0.0.1:…/trace/…\n';
      expect(isAsExpected(`${TREE}…${link}${JOB_TREE}…${link}\nThe tour is true…`, printed)).toBe(true);
    },
    300_000,
  );

  test('without a Jaeger the trace is shown all the same, and what is missing is said in a line', () => {
    const { status, stdout } = run('docs/tour/trace.mjs', NO_JAEGER);
    expect(isAsExpected(`${TREE}(no Jaeger answers at http://127.0.0.1:9; …)`, stdout)).toBe(true);
    expect(status).toBe(0);
  }, 180_000);
});
