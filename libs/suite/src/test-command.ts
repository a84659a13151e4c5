/**
 * `npm test`: everything the tests need, then jest over the repository, then one line that counts.
 *
 * Engines are fetched before the first test starts, because a test that had to wait for a compiler would time out.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { natsServer, redisServer } from '@plinth/engines';
import type { TestCount } from './count-reporter.ts';
import { REPOSITORY } from './layout.ts';
import { runScript } from './run-script.ts';

/** Runs the tests. Returns 0 only when jest was content, nothing failed and at least one test ran. */
export async function runTests(args: string[]): Promise<number> {
  await fetchEngines();
  const folder = await mkdtemp(join(tmpdir(), 'plinth-jest-'));
  try {
    const countFile = join(folder, 'count.json');
    const code = await runJest(args, countFile);
    const { passed, failed } = await readCount(countFile);
    console.log(`${passed} passed, ${failed} failed`);
    return code === 0 && failed === 0 && passed > 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fetchEngines(): Promise<void> {
  const progress = (line: string) => console.log(line);
  for (const find of [natsServer, redisServer]) {
    const engine = await find({ progress, ignoreUrl: true });
    if (engine.kind !== 'url') progress(`${engine.name} ${engine.version} (${engine.source})`);
  }
}

function runJest(args: string[], countFile: string): Promise<number> {
  const jest = join(REPOSITORY, 'node_modules', 'jest', 'bin', 'jest.js');
  const reporters = ['--reporters=default', `--reporters=${join(import.meta.dirname, 'count-reporter.ts')}`];
  // Jest's ES modules still stand behind this flag, and its warning would greet every worker.
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const nodeOptions = [process.env.NODE_OPTIONS ?? '', ...flags].join(' ').trim();
  return runScript({
    // Last, because jest takes what follows a list for more of the list.
    // A test that fails may leave a server behind, and jest would wait for it for ever.
    args: [jest, '--forceExit', ...args, ...reporters],
    cwd: REPOSITORY,
    env: { ...process.env, NODE_OPTIONS: nodeOptions, PLINTH_TEST_COUNT: countFile },
  });
}

/** No count at all means that jest itself broke: one failure, so that the line never claims less than happened. */
async function readCount(countFile: string): Promise<TestCount> {
  const text = await readFile(countFile, 'utf8').catch(() => undefined);
  return text === undefined ? { passed: 0, failed: 1 } : (JSON.parse(text) as TestCount);
}
