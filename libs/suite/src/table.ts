/** The table `up` and `status` print, and the first things to try. */
import { relative } from 'node:path';
import type { Paint } from './log-line.ts';
import type { SuiteState, UnitState } from './state-file.ts';

const HEADERS = ['NAME', 'STATE', 'URL', 'BACKEND', 'DATA'];

/** One row per service, then per engine; columns as wide as their widest cell. */
export function renderTable(state: SuiteState, paint: Paint): string[] {
  const rows = [...state.services, ...state.engines].map(cellsOf);
  const widths = HEADERS.map((header, column) =>
    Math.max(header.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const pad = (cells: string[]) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0));
  const body = rows.map((row) => {
    const [name = '', status = '', ...rest] = pad(row);
    return [paint('bold', name), paint(styleOf(status), status), ...rest].join('  ').trimEnd();
  });
  return [paint('dim', pad(HEADERS).join('  ').trimEnd()), ...body];
}

function cellsOf(unit: UnitState): string[] {
  const again = unit.restarts > 0 ? ` (restarted ${unit.restarts}×)` : '';
  const state = unit.state === 'running' ? `running${again}` : unit.state;
  return [unit.name, state, unit.url, unit.backend, unit.dataDir === null ? '' : shortPath(unit.dataDir)];
}

function styleOf(state: string): 'green' | 'yellow' | 'red' {
  if (state.startsWith('running') && !state.includes('not ready')) return 'green';
  return state.startsWith('failed') ? 'red' : 'yellow';
}

/** Relative where that is shorter to read. */
function shortPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}

/** Three commands that show the store at work; nothing when it does not run. */
export function renderFirstSteps(state: SuiteState, paint: Paint): string[] {
  const kv = state.services.find(({ name }) => name === 'kv');
  if (kv === undefined) return [];
  const commands = [
    `curl -X PUT ${kv.url}/v1/kv/demo/hello -d 'world'`,
    `curl ${kv.url}/v1/kv/demo/hello`,
    `curl -N '${kv.url}/v1/watch/demo?initial=true'`,
  ];
  return ['', 'Try:', ...commands.map((command) => `  ${paint('cyan', command)}`)];
}

/** Where the traces of a service can be seen; nothing when no Jaeger runs. */
export function renderTraces({ engines, services }: SuiteState, paint: Paint): string[] {
  const jaeger = engines.find(({ name, state }) => name === 'jaeger' && state === 'running');
  const [service] = services;
  if (jaeger === undefined || service === undefined) return [];
  return ['', `Traces: ${paint('cyan', `${jaeger.url}/search?service=${service.name}`)}`];
}
