/**
 * `npm test`: everything the tests need, then jest over the repository, then one line that counts.
 *
 * Engines are fetched before the first test starts, because a test that had to wait for a compiler would time out.
 *
 * Many tests race real processes against real clocks, two files at a time. When the whole suite was asked for and no
 * more than a few files failed, those are run once more, alone and with the same random seeds: what fails again is
 * broken, what passes is told as unsteady above the count, with its failure in the output, and wants mending too.
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { natsServer, redisServer } from '@plinth/engines';
import type { TestCount } from './count-reporter.ts';
import { REPOSITORY } from './layout.ts';
import { runScript } from './run-script.ts';
import { addRerun, filesToRunAgain } from './second-run.ts';

/** Runs the tests. Returns 0 only when jest was content, nothing failed and at least one test ran. */
export async function runTests(args: string[]): Promise<number> {
  await fetchEngines();
  const folder = await mkdtemp(join(tmpdir(), 'plinth-jest-'));
  try {
    const seeds = join(folder, 'seeds');
    await mkdir(seeds);
    let outcome = await runJest(args, join(folder, 'count.json'), seeds);
    const again = args.length === 0 ? filesToRunAgain(outcome.count) : [];
    if (again.length > 0) outcome = await runAgain(again, outcome, { folder, seeds });
    const { code, count } = outcome;
    console.log(`${count.passed} passed, ${count.failed} failed`);
    return code === 0 && count.failed === 0 && count.passed > 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Outcome {
  code: number;
  count: TestCount;
}

async function runAgain(paths: string[], first: Outcome, { folder, seeds }: { folder: string; seeds: string }) {
  console.log(`${first.count.failed} failed; running again, alone: ${named(paths)}`);
  const second = await runJest(['--runInBand', '--runTestsByPath', ...paths], join(folder, 'again.json'), seeds);
  const broken = new Set(second.count.failedFiles.map(({ path }) => path));
  // A second run that broke as a whole has cleared no file.
  const unsteady = second.code === 0 ? paths.filter((path) => !broken.has(path)) : [];
  if (unsteady.length > 0) console.log(`unsteady, failed beside others and passed alone: ${named(unsteady)}`);
  return { code: second.code, count: addRerun(first.count, second.count) };
}

function named(paths: string[]): string {
  return paths.map((path) => relative(REPOSITORY, path)).join(', ');
}

async function fetchEngines(): Promise<void> {
  const progress = (line: string) => console.log(line);
  for (const find of [natsServer, redisServer]) {
    const engine = await find({ progress, ignoreUrl: true });
    if (engine.kind !== 'url') progress(`${engine.name} ${engine.version} (${engine.source})`);
  }
}

async function runJest(args: string[], countFile: string, seeds: string): Promise<Outcome> {
  const jest = join(REPOSITORY, 'node_modules', 'jest', 'bin', 'jest.js');
  const reporters = ['--reporters=default', `--reporters=${join(import.meta.dirname, 'count-reporter.ts')}`];
  // Jest's ES modules still stand behind this flag, and its warning would greet every worker.
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const nodeOptions = [process.env.NODE_OPTIONS ?? '', ...flags].join(' ').trim();
  const code = await runScript({
    // Last, because jest takes what follows a list for more of the list.
    // A test that fails may leave a server behind, and jest would wait for it for ever.
    args: [jest, '--forceExit', ...args, ...reporters],
    cwd: REPOSITORY,
    env: { ...process.env, NODE_OPTIONS: nodeOptions, PLINTH_TEST_COUNT: countFile, PLINTH_TEST_SEEDS: seeds },
  });
  return { code, count: await readCount(countFile) };
}

/** No count at all means that jest itself broke: one failure, so that the line never claims less than happened. */
async function readCount(countFile: string): Promise<TestCount> {
  const text = await readFile(countFile, 'utf8').catch(() => undefined);
  return text === undefined ? { passed: 0, failed: 1, failedFiles: [] } : (JSON.parse(text) as TestCount);
}
