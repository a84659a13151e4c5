import { describe, expect, test } from '@jest/globals';
import { connectBus } from '@plinth/bus';
import { json, operationsOf, serve } from '@plinth/contracts';
import { withNats } from '@plinth/testkit';
import { z } from 'zod';
import { startService } from '../src/service-kit.ts';

const nats = withNats();
const double = operationsOf('fixture')({
  name: 'double',
  summary: 'Twice a number',
  method: 'GET',
  path: '/v1/double/{number}',
  query: z.strictObject({}),
  body: { kind: 'none' },
  replies: [{ status: 200, description: 'It.', mediaType: 'application/json' }],
});

describe('a service on the bus', () => {
  test('answers one handler at both doors, and leaves the bus when it stops', async () => {
    const steps: string[] = [];
    const running = await startService(
      {
        name: 'fixture',
        readConfig: () => ({}),
        build: (_, { bus }) => ({
          operations: [serve(double, ({ params }) => json(200, 2 * Number(params.number)))],
          notReady: () => undefined,
          stop: async () => void steps.push(bus?.notReady() ?? 'connected'),
        }),
      },
      { port: 0, env: { NATS_URL: nats.url, FIXTURE_LOG_LEVEL: 'silent' } },
    );
    const caller = await connectBus({ url: nats.url, name: 'caller' });
    const answer = await caller.request(double, { params: { number: '21' } });
    expect(Buffer.from(answer.body).toString()).toBe('42');
    expect(await (await fetch(`${running.url}/v1/double/21`)).json()).toBe(42);
    expect(await (await fetch(`${running.url}/readyz`)).json()).toMatchObject({ parts: { bus: 'ready' } });
    await running.stop();
    // The store may still say something on the bus while it closes.
    expect(steps).toEqual(['connected']);
    await expect(caller.request(double, { params: { number: '1' }, timeoutMs: 500 })).rejects.toThrow();
    await caller.close();
  });
});
