/** What `nats micro ls|info|stats` asks, and gets. The shapes are those of ADR-32. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { withNats } from '@plinth/testkit';
import { echo, fail, fixture, SERVICE } from '../test/fixture.ts';
import { type Bus, connectBus } from './bus.ts';

const nats = withNats();
const { operations } = fixture();
let replicas: Bus[];
let raw: NatsConnection;

beforeAll(async () => {
  replicas = await Promise.all(['a', 'b'].map((name) => connectBus({ url: nats.url, name })));
  await Promise.all(replicas.map((bus) => bus.serve(SERVICE, operations)));
  raw = await connect({ servers: nats.url });
});
afterAll(async () => {
  await Promise.all([...replicas.map((bus) => bus.close()), raw.close()]);
});

// biome-ignore lint/suspicious/noExplicitAny: these are documents from the wire.
async function ask(subject: string): Promise<any[]> {
  const answers = [];
  for await (const message of await raw.requestMany(subject, '', { strategy: 'stall', maxWait: 500 })) {
    answers.push(message.json());
  }
  return answers;
}

test.each(['$SRV.PING', '$SRV.PING.fixture'])('every replica answers %s', async (subject) => {
  const answers = await ask(subject);
  const pong = { type: 'io.nats.micro.v1.ping_response', name: 'fixture', version: '1.2.3', metadata: {} };
  expect(answers).toMatchObject([pong, pong]);
  expect(Object.keys(answers[0]).sort()).toEqual(['id', 'metadata', 'name', 'type', 'version']);
  expect(new Set(answers.map(({ id }) => id)).size).toBe(2);
});

test('one replica answers when it is asked by its id', async () => {
  const [{ id }] = await ask('$SRV.PING');
  expect(await ask(`$SRV.INFO.fixture.${id}`)).toMatchObject([{ id }]);
});

test('INFO tells the operations that have an endpoint', async () => {
  const [info] = await ask('$SRV.INFO.fixture');
  expect(info).toMatchObject({
    type: 'io.nats.micro.v1.info_response',
    name: 'fixture',
    version: '1.2.3',
    description: SERVICE.description,
    metadata: {},
  });
  expect(info.endpoints.map(({ name }: { name: string }) => name)).toEqual([
    'store',
    'add',
    'quote',
    'fail',
    'wait',
    'waitOnce',
    'large',
    'echo',
  ]);
  expect(info.endpoints.at(-1)).toEqual({
    name: 'echo',
    subject: 'plinth.fixture.v1.echo',
    queue_group: 'fixture',
    metadata: { summary: echo.summary },
  });
});

test('STATS counts requests and errors; a problem below 500 is an answer', async () => {
  await replicas[0]!.request(echo, {});
  for (const kind of ['problem', 'bug']) await replicas[0]!.request(fail, { params: { kind } }).catch(() => {});
  const stats = await ask('$SRV.STATS.fixture');
  for (const each of stats) {
    expect(each).toMatchObject({ type: 'io.nats.micro.v1.stats_response', started: expect.any(String) });
    expect(new Date(each.started).toISOString()).toBe(each.started);
  }
  const ofFail = stats.map(({ endpoints }) => endpoints.find(({ name }: { name: string }) => name === 'fail'));
  const sum = (member: string) => ofFail.reduce((total, endpoint) => total + endpoint[member], 0);
  expect(sum('num_requests')).toBe(2);
  expect(sum('num_errors')).toBe(1);
  expect(sum('processing_time')).toBeGreaterThan(1_000);
  expect(ofFail.map(({ last_error }) => last_error)).toContain('500:A bug in the service');
  const busy = ofFail.find(({ num_requests }) => num_requests > 0);
  expect(Object.keys(busy).sort()).toEqual([
    'average_processing_time',
    'last_error',
    'name',
    'num_errors',
    'num_requests',
    'processing_time',
    'queue_group',
    'subject',
  ]);
  expect(busy.average_processing_time).toBe(Math.round(busy.processing_time / busy.num_requests));
});

test('a name or version that NATS tools refuse is refused', async () => {
  await expect(replicas[0]!.serve({ ...SERVICE, name: 'a b' }, [])).rejects.toThrow(/no name of a NATS service/);
  await expect(replicas[0]!.serve({ ...SERVICE, version: '1.2' }, [])).rejects.toThrow(/no semantic version/);
});
