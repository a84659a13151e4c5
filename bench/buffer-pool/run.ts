/**
 * The memory pool against the buffers of Node, on this machine, in one run:
 *
 *     npm run bench -- buffer-pool
 */
import { parseArgs } from 'node:util';
import { runBenchmark } from '../command-line.ts';
import { describeCommit, describeMachine } from '../machine.ts';
import { chosen, RACE_FLAGS, raceOptions } from '../options.ts';
import { type MachineCpu, machineCpu, ownCpuMs } from '../proc.ts';
import type { Progress } from '../program.ts';
import { Stage } from '../stage.ts';
import { outcomesOf, race, SIZES } from './pool-race.ts';
import { type Findings, renderJson, renderReport } from './report.ts';

const USAGE = `npm run bench -- buffer-pool [options]
  --quick          one round, a minute
  --rounds N       rounds; their median counts (default 5)
  --only LIST      some of ${SIZES.join(', ')} bytes
  --json           only one line of JSON on standard output
  --check          end with 1 when a target is missed`;

/** Of CPU in each process: the library's bench says so, not we. */
const SECONDS = '1';

async function main(progress: Progress): Promise<void> {
  const { main: _, seconds: __, ...flags } = RACE_FLAGS;
  const { values } = parseArgs({ options: flags });
  const options = raceOptions({ ...values, seconds: SECONDS }, '');
  const sizes = chosen(SIZES, values.only);
  await using stage = await Stage.open();
  const machine = describeMachine(stage.dir);
  const before = { machine: machineCpu(), ownMs: ownCpuMs() };
  const lanes = await race(sizes, options.rounds, progress);
  const foreignShare = foreignShareSince(before);
  const outcomes = outcomesOf(lanes);
  const findings: Findings = { machine, commit: describeCommit(), options, absent: [], foreignShare, lanes, outcomes };
  if (!options.json) console.log(`${renderReport(findings)}\n`);
  console.log(renderJson(findings));
  if (options.check && outcomes.some(({ reached }) => !reached)) process.exitCode = 1;
}

/** What neither we nor the processes of the race took, all of which have ended. */
function foreignShareSince(before: { machine: MachineCpu | undefined; ownMs: number | undefined }): number | undefined {
  const machine = machineCpu();
  const ownMs = ownCpuMs();
  if (machine === undefined || ownMs === undefined || before.machine === undefined) return undefined;
  const busyMs = machine.busyMs - before.machine.busyMs - (ownMs - before.ownMs!);
  return Math.max(0, busyMs) / (machine.totalMs - before.machine.totalMs);
}

await runBenchmark(USAGE, main);
