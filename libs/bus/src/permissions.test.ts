/** What the permissions of README.md let a service do, on a real nats-server, and what they keep it from. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { eventually, startTestNats } from '@plinth/testkit';
import { echo, fixture, SERVICE } from '../test/fixture.ts';
import { type Bus, type BusEvent, connectBus } from './bus.ts';

/** As the charts write them: a service reaches its own subjects, those it calls, and replies to itself. */
const user = (name: string, calls: readonly string[]) => `{
  user: ${name}, password: ${name}, permissions: {
    publish: [${[`plinth.${name}.v1.events.>`, ...calls.map((call) => `plinth.${call}.v1.>`)].map((s) => `"${s}"`)}]
    subscribe: ["plinth.${name}.v1.>", "$SRV.>", "_INBOX_${name}.>"]
    allow_responses: true
  }
}`;

const USERS = `[
  { user: anyone, password: anyone, permissions: { publish: [], subscribe: [] } }
  ${user('fixture', [])}
  ${user('friend', ['fixture'])}
  ${user('stranger', [])}
]`;

describe('permissions per service', () => {
  let server: Awaited<ReturnType<typeof startTestNats>>;
  const buses: Bus[] = [];
  const as = async (name: string) => {
    const bus = await connectBus({ url: server.url, name, user: name, password: name });
    buses.push(bus);
    return bus;
  };
  const raw: NatsConnection[] = [];

  beforeAll(async () => {
    server = await startTestNats({ config: `authorization { users: ${USERS} }\nno_auth_user: anyone` });
    await (await as('fixture')).serve(SERVICE, fixture().operations);
  });
  afterAll(async () => {
    await Promise.all([...buses.map((bus) => bus.close()), ...raw.map((connection) => connection.close())]);
    await server.stop();
  });

  test('a caller that may is answered', async () => {
    await expect((await as('friend')).request(echo, {})).resolves.toMatchObject({ status: 200 });
  });

  test('one that may not reaches nobody', async () => {
    const stranger = await as('stranger');
    await expect(stranger.request(echo, { timeoutMs: 500 })).rejects.toMatchObject({
      code: expect.stringMatching(/deadline_exceeded|unavailable/),
    });
  });

  test('nobody reads the replies to another, or serves in its name', async () => {
    const stranger = await connect({ servers: server.url, user: 'stranger', pass: 'stranger' });
    raw.push(stranger);
    const refused: string[] = [];
    const heard: string[] = [];
    for (const subject of ['_INBOX_friend.>', 'plinth.fixture.v1.>', '_INBOX.>', '>']) {
      stranger.subscribe(subject, {
        queue: 'fixture',
        callback: (error, message) => void (error ? refused.push(subject) : heard.push(message.subject)),
      });
    }
    await stranger.flush();
    const friend = await as('friend');
    for (let count = 0; count < 20; count++) await friend.request(echo, {});
    await eventually(() => expect(refused).toHaveLength(4));
    expect(heard).toEqual([]);
  });

  test('its own events go out, those of another do not', async () => {
    const [owner, stranger] = [await as('fixture'), await as('stranger')];
    const seen: BusEvent[] = [];
    owner.subscribe('plinth.fixture.v1.events.>', (event) => void seen.push(event));
    await owner.flush();
    stranger.publish('plinth.fixture.v1.events.x', 'forged');
    await stranger.flush().catch(() => {});
    owner.publish('plinth.fixture.v1.events.x', 'own');
    await eventually(() => expect(seen.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['own']));
  });
});
