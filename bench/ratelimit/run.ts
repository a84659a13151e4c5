/**
 * The rate limiter against its peers, on this machine, in one run:
 *
 *     npm run bench -- ratelimit
 *
 * README.md of this folder's parent says how to read what it prints.
 */
import { existsSync } from 'node:fs';
import { describeCommit, describeMachine } from '../machine.ts';
import { UsageFault } from '../options.ts';
import { ProgramMissing, type Progress } from '../program.ts';
import { Stage } from '../stage.ts';
import { Arena } from './arena.ts';
import { prepare } from './contests.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { race } from './race.ts';
import { type Findings, judge, renderJson, renderReport } from './report.ts';
import { measureWindows } from './windows.ts';

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (!existsSync(options.main)) throw new UsageFault(`there is no service at ${options.main}`);
  const startedMs = performance.now();
  const progress: Progress = (line) =>
    console.error(`${((performance.now() - startedMs) / 1_000).toFixed(1)} s  ${line}`);
  const findings = await measure(options, progress);
  const judgement = judge(findings);
  if (!options.json) console.log(`${renderReport(findings, judgement)}\n`);
  console.log(renderJson(findings, judgement));
  if (options.check && !judgement.isAllReached) process.exitCode = 1;
}

async function measure(options: Options, progress: Progress): Promise<Findings> {
  await using stage = await Stage.open();
  await using arena = new Arena(stage, progress);
  const machine = describeMachine(stage.dir);
  const field = { arena, main: options.main };
  const contests = await prepare(options.rows, field);
  const lanes = await race(contests, options, progress);
  const windows = options.rows.has('A13') ? await measureWindows(field, options.schedules) : [];
  return { machine, commit: describeCommit(), options, lanes, windows, absent: arena.absent };
}

/** A mistake of the caller is told with the usage, a missing program in a line, and a bug with its stack. */
function explain(error: Error & { code?: string }): number {
  if (error instanceof UsageFault || error.code?.startsWith('ERR_PARSE_ARGS')) {
    console.error(`${error.message}\n\n${USAGE}`);
    return 2;
  }
  console.error(error instanceof ProgramMissing ? error.message : error);
  return 1;
}

try {
  await main();
} catch (error) {
  process.exitCode = explain(error as Error);
}
