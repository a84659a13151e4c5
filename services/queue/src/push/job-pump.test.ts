/** A pump and an engine that behaves badly. How it pumps is tested with real queues (`push-dispatcher.test.ts`). */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { JobPump } from './job-pump.ts';
import type { PushEngine } from './push-engine.ts';

const log = { info: () => {}, warn: () => {} };

function pumpOf(lease: PushEngine['lease'], settle: PushEngine['settle'] = async () => []): JobPump {
  const engine = { lease, settle, renew: async () => [] } as unknown as PushEngine;
  const room = () => ({ count: 1, waitMs: undefined });
  return new JobPump({ queue: 'q', engine, log, worker: 'test', room, work: async () => {} });
}

test.each([
  ['answers at once and empty', () => Promise.resolve([])],
  ['fails at once', () => Promise.reject(new Error('away'))],
])('an engine that %s is not asked without end', async (_, answer) => {
  let asks = 0;
  const pump = pumpOf(() => {
    asks += 1;
    return answer();
  });
  const startMs = performance.now();
  pump.start();
  await sleep(450);
  await pump.stop(0);
  expect(asks).toBeGreaterThan(0);
  // The first at once, then one each tenth of a second at the most.
  expect(asks).toBeLessThanOrEqual(2 + (performance.now() - startMs) / 100);
});

test('what was said of a job is said again until the engine has taken it', async () => {
  const job = { id: '1', token: '7' } as Parameters<JobPump['ack']>[0];
  let tries = 0;
  const pump = pumpOf(
    () => sleep(1_000, []),
    async (_, settlements) => {
      tries += 1;
      if (tries < 3) throw new Error('away');
      return settlements.map(({ id }) => ({ id, state: 'completed', dueAtMs: undefined }));
    },
  );
  pump.ack(job, undefined);
  await pump.stop(0);
  expect(tries).toBe(3);
});
