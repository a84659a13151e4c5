/** Node's `realpathSync` goes by what the last stat found, and gives up behind a pipe: the sink must leave no such trace. */
import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

test('a program whose standard output is a pipe can import linked packages after it has logged', () => {
  const script = new URL('./file-pipe-import.ts', import.meta.url).pathname;
  const lines = execFileSync(process.execPath, [script], { encoding: 'utf8', env: { PATH: process.env.PATH } });
  expect(lines).toBe('{"msg":"first"}\n{"msg":"imported"}\n');
});
