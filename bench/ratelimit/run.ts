/**
 * The rate limiter against its peers, on this machine, in one run:
 *
 *     npm run bench -- ratelimit
 *
 * README.md of this folder's parent says how to read what it prints.
 */
import { existsSync } from 'node:fs';
import { runBenchmark } from '../command-line.ts';
import { describeCommit, describeMachine } from '../machine.ts';
import { UsageFault } from '../options.ts';
import type { Progress } from '../program.ts';
import { Stage } from '../stage.ts';
import { Arena } from './arena.ts';
import { prepare } from './contests.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { race } from './race.ts';
import { type Findings, judge, renderJson, renderReport } from './report.ts';
import { measureWindows } from './windows.ts';

async function main(progress: Progress): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (!existsSync(options.main)) throw new UsageFault(`there is no service at ${options.main}`);
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

await runBenchmark(USAGE, main);
