/** `npm run status`: what runs, where, and whether each service is ready this very moment. */
import { parseArgs } from 'node:util';
import { isSameProcess, LockFile } from '@plinth/engines';
import { type Home, homeOf } from './layout.ts';
import { paintFor } from './log-line.ts';
import { askReadiness } from './readiness.ts';
import { readState, type SuiteState, type UnitState } from './state-file.ts';
import { renderTable } from './table.ts';

/** What `--json` prints: no engines and no services when the suite does not run. */
export type StatusReport = Omit<SuiteState, 'state' | 'pid' | 'startedAt' | 'processes'> & {
  state: SuiteState['state'] | 'stopped';
  pid: number | null;
  startedAt: string | null;
};

/** Runs `status`. Returns 0 whenever the question could be answered. */
export async function runStatus(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { json: { type: 'boolean', default: false } } });
  const home = homeOf(process.env);
  const state = await currentState(home);
  if (values.json) console.log(JSON.stringify(reportOf(state), null, 2));
  else console.log(state ? textOf(state) : notRunning(home));
  return 0;
}

async function currentState(home: Home): Promise<SuiteState | undefined> {
  if (new LockFile(home.lockFile).holder() === undefined) return undefined;
  const state = readState(home.stateFile);
  return state && { ...state, services: await Promise.all(state.services.map(withReadiness)) };
}

/** A process that runs may still be unable to serve, for example while its engine is away. */
async function withReadiness(service: UnitState): Promise<UnitState> {
  if (service.state !== 'running') return service;
  const readiness = await askReadiness(service.url);
  return readiness.isReady ? service : { ...service, state: `not ready: ${readiness.reason}` };
}

function reportOf(state: SuiteState | undefined): StatusReport {
  if (state === undefined) return { state: 'stopped', pid: null, startedAt: null, engines: [], services: [] };
  const { processes: _, ...report } = state;
  return report;
}

function textOf(state: SuiteState): string {
  const paint = paintFor(process.stdout, process.env);
  return [`The suite is ${state.state} (supervisor pid ${state.pid}).`, ...renderTable(state, paint)].join('\n');
}

function notRunning(home: Home): string {
  const strays = (readState(home.stateFile)?.processes ?? []).filter(isSameProcess);
  if (strays.length === 0) return 'The suite is not running. Start it: npm run up.';
  const names = strays.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ');
  return `The supervisor was killed; still running: ${names}. Stop them: npm run down. Start anew: npm run up.`;
}
