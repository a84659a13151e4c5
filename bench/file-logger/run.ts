/**
 * Our file logger against pino and winston, on this machine, in one run:
 *
 *     npm run bench -- file-logger
 *
 * README.md of this folder's parent says how to read what it prints.
 */
import { readFileSync } from 'node:fs';
import { runBenchmark } from '../command-line.ts';
import { describeCommit, describeMachine } from '../machine.ts';
import type { Progress } from '../program.ts';
import { Stage } from '../stage.ts';
import { readOptions, USAGE } from './options.ts';
import { race } from './race.ts';
import { type Findings, renderJson, renderReport } from './report.ts';
import { raceServed } from './served.ts';
import { outcomesOf } from './targets.ts';

async function main(progress: Progress): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  await using stage = await Stage.open();
  const machine = describeMachine(stage.dir);
  const lanes = await race(options, stage.dir, progress);
  const served = options.served ? await raceServed(options, stage, progress) : [];
  const versions = { pino: versionOf('pino'), winston: versionOf('winston') };
  const findings: Findings = { machine, commit: describeCommit(), options, lanes, served, versions, absent: [] };
  const outcomes = outcomesOf(lanes);
  if (!options.json) console.log(`${renderReport(findings, outcomes)}\n`);
  console.log(renderJson(findings, outcomes));
  if (options.check && outcomes.some(({ reached }) => !reached)) process.exitCode = 1;
}

function versionOf(name: string): string {
  const url = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
}

await runBenchmark(USAGE, main);
