/**
 * The key-value store against etcd, Redis and a raw echo, on this machine, in one run:
 *
 *     npm run bench -- kv
 *
 * README.md of this folder's parent says how to read what it prints.
 */
import { existsSync } from 'node:fs';
import { runBenchmark } from '../command-line.ts';
import { describeCommit, describeMachine } from '../machine.ts';
import { UsageFault } from '../options.ts';
import { findProgram, ProgramMissing, type Progress } from '../program.ts';
import { findRedis } from '../redis-programs.ts';
import { Stage } from '../stage.ts';
import { enterEcho } from './echo.ts';
import { enterEtcd, findEtcd } from './etcd.ts';
import type { HttpRace } from './http-opponent.ts';
import { measureIdle } from './idle.ts';
import type { Lane } from './lane.ts';
import { measureListMemory } from './list-memory.ts';
import type { Opponent } from './opponent.ts';
import { type Options, operationsOf, readOptions, USAGE } from './options.ts';
import { enterPlinth, headersOfGet } from './plinth.ts';
import { race } from './race.ts';
import { enterRedis } from './redis.ts';
import { type Findings, judge, renderJson, renderReport } from './report.ts';

/** Opponents that could not take part. */
type Absent = Findings['absent'];

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
  const { subjects, main } = options;
  const absent: Absent = [];
  const machine = describeMachine(stage.dir);
  const idle = subjects.has('idle') ? await measureIdle(stage, main) : undefined;
  const lanes = operationsOf(options).length > 0 ? await runRace(options, stage, absent, progress) : [];
  const listMemory = subjects.has('list-memory') ? await measureListMemory(stage, main, progress) : undefined;
  return { machine, commit: describeCommit(), options, lanes, idle, listMemory, absent };
}

/** All opponents run during the race, and none of them afterwards. */
async function runRace(options: Options, stage: Stage, absent: Absent, progress: Progress): Promise<Lane[]> {
  const wrk = await findProgram({ name: 'wrk', debianPackages: ['wrk'], brewFormula: 'wrk' }, progress);
  const opponents = await enterAll({ wrk, stage }, options, absent, progress);
  const lanes = await race(options, opponents, progress);
  for (const { server } of opponents) await server.stop();
  return lanes;
}

/** Starts and fills everyone. The echo comes after us, because it copies the headers of our answers. */
async function enterAll(place: HttpRace, options: Options, absent: Absent, progress: Progress): Promise<Opponent[]> {
  const entries: Record<string, () => Promise<Opponent>> = {
    plinth: () => enterPlinth(place, options.main),
    etcd: async () => enterEtcd(place, await findEtcd(progress)),
    echo: async () => enterEcho(place, await headersOfGet(opponents[0]!.server.url)),
    redis: async () => enterRedis(place.stage, await findRedis(progress)),
  };
  const opponents: Opponent[] = [];
  for (const [name, enter] of Object.entries(entries)) {
    const opponent = await unlessMissing(name, absent, enter);
    if (opponent === undefined) continue;
    const startedMs = performance.now();
    await opponent.fill();
    progress(`${opponent.title}: filled and read back in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
    opponents.push(opponent);
  }
  return opponents;
}

/** A program this machine cannot get leaves its row out, in plain sight; any other error ends the run. */
async function unlessMissing(
  name: string,
  absent: Absent,
  enter: () => Promise<Opponent>,
): Promise<Opponent | undefined> {
  try {
    return await enter();
  } catch (error) {
    if (!(error instanceof ProgramMissing)) throw error;
    absent.push({ name, reason: error.message });
    return undefined;
  }
}

await runBenchmark(USAGE, main);
