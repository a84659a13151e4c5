/** What the queue says on the bus, on a real nats-server. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bus, connectBus } from '@plinth/bus';
import { createClient } from '@plinth/client';
import { eventually, withNats } from '@plinth/testkit';
import type { JobEvent } from '../core/job-event.ts';
import { Workers } from '../core/workers.ts';
import { EventNews } from './event-news.ts';
import { ReplicaNews } from './replica-news.ts';
import { ResultWriter } from './result-writer.ts';

const nats = withNats();
let bus: Bus;
let other: Bus;
beforeAll(async () => {
  bus = await connectBus({ url: nats.url, name: 'one' });
  other = await connectBus({ url: nats.url, name: 'other' });
});
afterAll(async () => {
  await bus.close();
  await other.close();
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const AT_MS = Date.UTC(2030, 0, 1);
const event = (kind: JobEvent['kind'], id: string, more: Partial<JobEvent> = {}): JobEvent => ({
  kind,
  queue: 'mail',
  id,
  state: 'completed',
  atMs: AT_MS,
  ...more,
});

const NO_DELIVERIES = {
  callbackUrl: undefined,
  failureCallbackUrl: undefined,
  resultTo: undefined,
  traceparent: undefined,
  tracestate: undefined,
};

interface CloudEvent {
  id: string;
  subject: string;
  type: string;
  time: string;
  data: Record<string, unknown>;
}

/** All CloudEvents on a subject, with the number of messages that they came in. */
async function heard(subject: string) {
  const messages: CloudEvent[][] = [];
  const subscription = other.subscribe(subject, ({ payload, headers }) => {
    expect(headers['content-type']).toMatch(/^application\/cloudevents-batch\+json/);
    messages.push(JSON.parse(Buffer.from(payload).toString()) as CloudEvent[]);
  });
  await other.flush();
  return { messages, stop: () => subscription.stop() };
}

describe('events', () => {
  test('of one moment go together as CloudEvents, in order, by queue and kind', async () => {
    let ids = 0;
    const news = new EventNews({ bus, newId: () => `e${++ids}`, replica: 'r1' });
    const { messages, stop } = await heard('plinth.queue.v1.events.mail.completed');
    for (let at = 0; at < 150; at++) news.tell(event('completed', String(at), { result: '{"ok":true}' }));
    news.tell(event('dead', 'x'));
    await eventually(() => messages.flat().length === 150);
    expect(messages.map(({ length }) => length)).toEqual([100, 50]);
    expect(messages.flat().map(({ subject }) => Number(subject))).toEqual(Array.from({ length: 150 }, (_, at) => at));
    expect(messages[0]![0]).toEqual({
      specversion: '1.0',
      id: 'e1',
      source: '/plinth/queue/mail',
      type: 'plinth.queue.v1.completed',
      subject: '0',
      time: '2030-01-01T00:00:00.000Z',
      datacontenttype: 'application/json',
      replica: 'r1',
      data: { queue: 'mail', id: '0', state: 'completed', result: { ok: true } },
    });
    expect([news.published, news.dropped]).toEqual([151, 0]);
    await stop();
  });

  test('are dropped and counted while the bus is away', () => {
    const away = { publish: () => undefined, notReady: () => 'away' };
    const news = new EventNews({ bus: away, newId: () => 'e', replica: 'r1' });
    for (let at = 0; at < 3; at++) news.tell(event('completed', String(at)));
    news.flush();
    expect([news.published, news.dropped]).toEqual([0, 3]);
  });

  test('beyond what is kept for one moment are dropped and counted', () => {
    const news = new EventNews({ bus, newId: () => 'e', replica: 'r1' });
    for (let at = 0; at < 20_001; at++) news.tell(event('leased', String(at)));
    expect(news.dropped).toBe(1);
    news.flush();
    expect(news.published).toBe(20_000);
  });

  test('a result too long for a message is left out', async () => {
    const news = new EventNews({ bus, newId: () => 'e', replica: 'r1' });
    const { messages, stop } = await heard('plinth.queue.v1.events.mail.completed');
    news.tell(event('completed', '1', { result: JSON.stringify('x'.repeat(10_000)) }));
    await eventually(() => messages.length === 1);
    expect(messages[0]![0]!.data).not.toHaveProperty('result');
    await stop();
  });
});

describe('results', () => {
  test('that cannot be written are told, after a few tries', async () => {
    const failed: [string, string][] = [];
    const pauses: number[] = [];
    const writer = new ResultWriter({
      // Nobody serves the key-value store on this bus.
      kv: createClient({ nats: bus, retries: 0 }).kv,
      failed: ({ id }, reason) => failed.push([id, reason]),
      sleep: async (ms) => void pauses.push(ms),
    });
    const deliveries = { ...NO_DELIVERIES, resultTo: 'kv://results/x' };
    writer.hear(event('completed', '1', { deliveries }));
    writer.hear(event('dead', '2', { deliveries }));
    writer.hear(event('completed', '3', { deliveries: { ...NO_DELIVERIES, resultTo: 'ftp://x' } }));
    await eventually(() => failed.length === 2);
    expect(failed.map(([id]) => id).sort()).toEqual(['1', '3']);
    expect(pauses).toEqual([500, 1_000, 2_000, 4_000]);
    expect([writer.written, writer.failed]).toEqual([0, 2]);
  });
});

describe('replicas', () => {
  const workers = () => new Workers({ now: () => 0, share: () => undefined });

  test('wake each other but not themselves, seldom for many enqueues, and never too late for the last', async () => {
    const one = new ReplicaNews({ bus, replica: 'r1' });
    const two = new ReplicaNews({ bus: other, replica: 'r2' });
    const woken: string[][] = [[], []];
    one.listen({ woken: (queue) => woken[0]!.push(queue), workers: workers() });
    two.listen({ woken: (queue) => woken[1]!.push(queue), workers: workers() });
    await Promise.all([bus.flush(), other.flush()]);
    for (let at = 0; at < 1_000; at++) one.wake('mail');
    await eventually(() => expect(woken[1]).toEqual(['mail', 'mail']));
    await sleep(60);
    expect(woken).toEqual([[], ['mail', 'mail']]);
    await Promise.all([one.stop(), two.stop()]);
  });

  test('know each other’s workers', async () => {
    const one = new ReplicaNews({ bus, replica: 'r1' });
    const two = new ReplicaNews({ bus: other, replica: 'r2' });
    const known = workers();
    two.listen({ woken: () => undefined, workers: known });
    await other.flush();
    one.share({ kind: 'beat', worker: 'w', beat: { queues: ['mail'], slots: 4, used: 1 } });
    await eventually(() => known.slots('mail').total === 4);
    await Promise.all([one.stop(), two.stop()]);
  });

  test('hear of ends elsewhere as long as they wait for one', async () => {
    const two = new ReplicaNews({ bus: other, replica: 'r2' });
    const ended: string[] = [];
    const stop = two.watchEnds('mail', (id) => ended.push(id));
    await other.flush();
    const mine = new EventNews({ bus, newId: () => 'e', replica: 'r1' });
    for (const kind of ['completed', 'dead', 'cancelled', 'leased'] as const) mine.tell(event(kind, kind));
    mine.flush();
    await eventually(() => ended.length === 3);
    expect(ended.sort()).toEqual(['cancelled', 'completed', 'dead']);
    stop();
    mine.tell(event('completed', 'later'));
    mine.flush();
    await Promise.all([bus.flush(), other.flush()]);
    await sleep(20);
    expect(ended.length).toBe(3);
    await two.stop();
  });
});
