/**
 * `npm run up`: the suite in the foreground, or, with --detach, under a supervisor that stays when we return.
 *
 * Both run the same `superviseSuite`. A detached supervisor is this program again with the internal command
 * `supervise`; it sends its lines over IPC until it is ready or has failed, and then goes on alone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { LockFile } from '@plinth/engines';
import { type Home, homeOf, servicesDirOf } from './layout.ts';
import { type Paint, paintFor } from './log-line.ts';
import type { SuiteState } from './state-file.ts';
import { Supervisor } from './supervisor.ts';
import { renderFirstSteps, renderTable, renderTraces } from './table.ts';
import { createVoice } from './voice.ts';

/** Exit code of a shell command that Ctrl-C ended. */
const INTERRUPTED = 130;
/** npm and the terminal both deliver one Ctrl-C; only a later one means "now". */
const SECOND_SIGNAL_AFTER_MS = 1_000;

interface UpOptions {
  only?: string[];
  hasJaeger: boolean;
  isDetached: boolean;
}

/** Runs `up`. Returns the exit code: 0 when all became ready, and for a foreground suite when it was then stopped. */
export async function runUp(args: string[]): Promise<number> {
  const { isDetached, ...wish } = readArguments(args);
  const home = homeOf(process.env);
  const holder = new LockFile(home.lockFile).holder();
  if (holder) return refuseSecond(holder.pid);
  if (isDetached) return launchDetached({ home, ...wish });
  const print = (line: string) => process.stdout.write(`${line}\n`);
  const paint = paintFor(process.stdout, process.env);
  return superviseSuite({ home, ...wish, print, paint, onReady: (state) => printReady(state, paint) });
}

/** The internal command behind `up --detach`. */
export async function runSupervise(args: string[]): Promise<number> {
  const { only, hasJaeger } = readArguments(args);
  const tell = (message: LauncherMessage) => process.connected && process.send?.(message);
  return superviseSuite({
    home: homeOf(process.env),
    only,
    hasJaeger,
    print: (line) => tell({ line }),
    paint: paintFor({}, process.env),
    onReady: (state) => {
      tell({ ready: state });
      // From here on nobody listens, and our end must not depend on the launcher's.
      if (process.connected) process.disconnect();
    },
  });
}

type LauncherMessage = { line: string } | { ready: SuiteState };

function readArguments(args: string[]): UpOptions {
  const { values } = parseArgs({
    args,
    options: {
      detach: { type: 'boolean', short: 'd', default: false },
      only: { type: 'string' },
      'no-jaeger': { type: 'boolean', default: false },
    },
  });
  const only = values.only?.split(',').filter(Boolean);
  return { isDetached: values.detach, only, hasJaeger: !values['no-jaeger'] };
}

function refuseSecond(pid: number): number {
  console.error(`The suite already runs (supervisor pid ${pid}). See it: npm run status. Stop it: npm run down.`);
  return 1;
}

async function superviseSuite(run: {
  home: Home;
  only?: string[];
  hasJaeger: boolean;
  print(line: string): void;
  paint: Paint;
  onReady(state: SuiteState): void;
}): Promise<number> {
  const { home, only, hasJaeger, print, paint, onReady } = run;
  const lock = new LockFile(home.lockFile);
  if (!lock.tryTake()) return refuseSecond(lock.holder()?.pid ?? 0);
  const voice = createVoice({ home, print, paint });
  const { env } = process;
  const supervisor = new Supervisor({ home, servicesDir: servicesDirOf(env), env, only, hasJaeger, voice });
  const stopAsked = whenAskedToStop(() => supervisor.kill());
  try {
    const outcome = await Promise.race([supervisor.start(), stopAsked]);
    if (outcome === 'stop') return INTERRUPTED;
    onReady(outcome);
    await stopAsked;
    return 0;
  } catch (error) {
    voice.news(paint('red', error instanceof Error ? error.message : String(error)));
    return 1;
  } finally {
    await supervisor.stop();
    voice.close();
    lock.release();
  }
}

/** Resolves at the first Ctrl-C, SIGTERM, hang-up or end of the program that started us; a later signal is `onImpatience`. */
function whenAskedToStop(onImpatience: () => void): Promise<'stop'> {
  return new Promise((resolve) => {
    let firstMs: number | undefined;
    const ask = () => {
      if (firstMs !== undefined && Date.now() - firstMs > SECOND_SIGNAL_AFTER_MS) onImpatience();
      firstMs ??= Date.now();
      resolve('stop');
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
    if (process.env[DETACHED] === undefined) process.once('disconnect', ask);
  });
}

/** Set for a detached supervisor, which outlives the program that started it. */
const DETACHED = 'PLINTH_DETACHED';

function printReady(state: SuiteState, paint: Paint): void {
  console.log(
    ['', ...renderTable(state, paint), ...renderFirstSteps(state, paint), ...renderTraces(state, paint), ''].join('\n'),
  );
}

/** Starts the supervisor in the background, and shows what it says until it is ready or has failed. */
async function launchDetached({ home, ...wish }: { home: Home; only?: string[]; hasJaeger: boolean }): Promise<number> {
  const paint = paintFor(process.stdout, process.env);
  const child = spawnSupervisor(home, wish);
  const passOn = () => child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, passOn);
  const outcome = await followUntilReady(child);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, passOn);
  if (typeof outcome === 'number') return outcome || 1;
  printReady(outcome, paint);
  console.log(`Running in the background (supervisor pid ${child.pid}). Logs: ${home.logsDir}. Stop it: npm run down.`);
  child.unref();
  return 0;
}

function spawnSupervisor(home: Home, { only, hasJaeger }: { only?: string[]; hasJaeger: boolean }): ChildProcess {
  mkdirSync(home.logsDir, { recursive: true });
  // The supervisor's own lines go to plinth.log; this is for a crash of Node itself.
  const crashLog = openSync(join(home.logsDir, 'plinth-crash.log'), 'a');
  const main = join(import.meta.dirname, 'main.ts');
  const colors = process.stdout.isTTY && !process.env.NO_COLOR ? { FORCE_COLOR: '1' } : {};
  const args = [...(only ? ['--only', only.join(',')] : []), ...(hasJaeger ? [] : ['--no-jaeger'])];
  return spawn(process.execPath, [main, 'supervise', ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', crashLog, 'ipc'],
    env: { ...process.env, ...colors, [DETACHED]: '1' },
  });
}

/** The state when ready, or the exit code of a supervisor that gave up. */
function followUntilReady(child: ChildProcess): Promise<SuiteState | number> {
  return new Promise((resolve) => {
    child.on('message', (message: LauncherMessage) => {
      if ('line' in message) console.log(message.line);
      else resolve(message.ready);
    });
    child.on('error', () => resolve(1));
    // Lines sent just before the end arrive after the exit event.
    child.on('exit', async (code) => {
      await sleep(100);
      resolve(code ?? 1);
    });
  });
}
