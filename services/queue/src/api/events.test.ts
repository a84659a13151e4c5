import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually, withRedis } from '@plinth/testkit';
import { type RunningApi, startApi } from './running.fixture.ts';

const redis = withRedis();
let api: RunningApi;
beforeAll(async () => {
  api = await startApi(redis.url);
});
afterAll(() => api.stop());

interface Told {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: events of all kinds.
  data: any;
}

/** Reads a stream into `told` until it ends. */
async function listen(query: string): Promise<{ told: Told[]; ended: Promise<void>; leave: () => void }> {
  const gone = new AbortController();
  const answer = await fetch(`${api.url}/v1/events${query}`, { signal: gone.signal });
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  const told: Told[] = [];
  let rest = '';
  const ended = (async () => {
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
      rest += chunk;
      const blocks = rest.split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? [];
        if (event !== undefined) told.push({ event, data: JSON.parse(data!) });
      }
    }
  })().catch(() => undefined);
  return { told, ended, leave: () => gone.abort() };
}

const work = async (queue: string): Promise<void> => {
  await api.post(`/v1/queues/${queue}/jobs`, [{ name: 'good' }, { name: 'bad' }]);
  const [good, bad] = await api.lease(queue, 2);
  await api.post(`/v1/queues/${queue}:ack`, {
    acks: [{ id: good!.id, token: good!.token, result: 'a secret' }],
    fails: [{ id: bad!.id, token: bad!.token, error: { type: 'E', message: 'no', stack: 'long' }, final: true }],
  });
};

test('what becomes of the jobs of a queue is told in order, without results and stacks', async () => {
  const { told, leave } = await listen('?queue=mail');
  await work('other');
  await work('mail');
  await eventually(() => expect(told).toHaveLength(6), { timeoutMs: 15_000 });
  expect(told.map(({ event, data }) => `${event} ${data.queue}`)).toEqual([
    'enqueued mail',
    'enqueued mail',
    'leased mail',
    'leased mail',
    'completed mail',
    'dead mail',
  ]);
  expect(told[4]!.data).not.toHaveProperty('result');
  expect(told[5]!.data).toMatchObject({ state: 'dead', error: { type: 'E', message: 'no' }, atMs: expect.any(Number) });
  expect(JSON.stringify(told)).not.toContain('long');
  leave();
});

test('without a queue all are told; a name that is none is refused', async () => {
  const { told, leave } = await listen('');
  await work('a');
  await work('b');
  await eventually(() => expect(new Set(told.map(({ data }) => data.queue))).toEqual(new Set(['a', 'b'])), {
    timeoutMs: 15_000,
  });
  leave();
  expect(await api.get('/v1/events?queue=-')).toMatchObject({
    status: 400,
    body: { issues: [{ path: '/query/queue' }] },
  });
});

test('readers are told when the service stops, and those who leave are forgotten', async () => {
  const second = await startApi(redis.url);
  const first = api;
  api = second;
  const { told, ended } = await listen('');
  api = first;
  await second.stop();
  await ended;
  expect(told.at(-1)?.event).toBe('end');
});
