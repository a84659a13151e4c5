import { expect, test } from '@jest/globals';
import { paintFor } from './log-line.ts';
import type { SuiteState, UnitState } from './state-file.ts';
import { renderFirstSteps, renderTable, renderTraces } from './table.ts';

const noPaint = paintFor({}, {});
const kv: UnitState = {
  name: 'kv',
  state: 'running',
  url: 'http://127.0.0.1:7401',
  pid: 1,
  backend: 'LMDB + local log',
  dataDir: '/data/kv',
  restarts: 0,
};
const suite = (...services: UnitState[]): SuiteState => {
  return { state: 'running', pid: 1, startedAt: '', engines: [], services, processes: [] };
};

test('columns line up, and a restart is told', () => {
  expect(renderTable(suite(kv, { ...kv, name: 'logs', restarts: 2 }), noPaint)).toEqual([
    'NAME  STATE                   URL                    BACKEND           DATA',
    'kv    running                 http://127.0.0.1:7401  LMDB + local log  /data/kv',
    'logs  running (restarted 2×)  http://127.0.0.1:7401  LMDB + local log  /data/kv',
  ]);
});

test('the first steps name the real address, and are left out when kv does not run', () => {
  expect(renderFirstSteps(suite({ ...kv, url: 'http://127.0.0.1:9401' }), noPaint).join('\n')).toContain(
    "curl -X PUT http://127.0.0.1:9401/v1/kv/demo/hello -d 'world'",
  );
  expect(renderFirstSteps(suite({ ...kv, name: 'logs' }), noPaint)).toEqual([]);
});

test('the traces of the first service are one link away while a Jaeger runs', () => {
  const jaeger = { ...kv, name: 'jaeger', url: 'http://127.0.0.1:16686' };
  const withJaeger = { ...suite(kv), engines: [jaeger] };
  expect(renderTraces(withJaeger, noPaint)).toEqual(['', 'Traces: http://127.0.0.1:16686/search?service=kv']);
  expect(renderTraces(suite(kv), noPaint)).toEqual([]);
  expect(renderTraces({ ...withJaeger, engines: [{ ...jaeger, state: 'failed: out of ink' }] }, noPaint)).toEqual([]);
});
