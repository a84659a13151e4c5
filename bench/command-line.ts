/** How a benchmark's command runs, and how it tells what went wrong. */
import { UsageFault } from './options.ts';
import { ProgramMissing, type Progress } from './program.ts';

/**
 * Runs a benchmark with a voice for the person who waits. A mistake of the caller is told with the usage and ends the
 * process with 2; a missing program is told in a line and a bug with its stack, both end it with 1.
 */
export async function runBenchmark(usage: string, main: (progress: Progress) => Promise<void>): Promise<void> {
  const startedMs = performance.now();
  const seconds = () => ((performance.now() - startedMs) / 1_000).toFixed(1);
  try {
    await main((line) => console.error(`${seconds()} s  ${line}`));
  } catch (error) {
    process.exitCode = explain(error as Error, usage);
  }
}

function explain(error: Error & { code?: string }, usage: string): number {
  if (error instanceof UsageFault || error.code?.startsWith('ERR_PARSE_ARGS')) {
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
  console.error(error instanceof ProgramMissing ? error.message : error);
  return 1;
}
