/** The bus on a real nats-server. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { eventually, startTestNats, withNats } from '@plinth/testkit';
import { add, echo, fail, fixture, large, quote, SERVICE, store, wait, waitOnce, watch } from '../test/fixture.ts';
import { type Bus, type BusEvent, type BusLog, connectBus } from './bus.ts';

const nats = withNats();

/** Keeps what a bus logs. */
function testLog() {
  const lines: { level: string; msg: string; fields: Record<string, unknown> }[] = [];
  const at =
    (level: string) =>
    (msg: string, fields: Record<string, unknown> = {}) =>
      lines.push({ level, msg, fields });
  return { lines, info: at('info'), warn: at('warn'), error: at('error') } satisfies BusLog & { lines: unknown };
}

const json = (reply: { body: Uint8Array }) => JSON.parse(Buffer.from(reply.body).toString());
const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

describe('requests', () => {
  const log = testLog();
  const { operations } = fixture();
  let server: Bus;
  let client: Bus;
  let raw: NatsConnection;

  beforeAll(async () => {
    server = await connectBus({ url: nats.url, name: 'fixture', log });
    client = await connectBus({ url: nats.url, name: 'client' });
    raw = await connect({ servers: nats.url });
    await server.serve(SERVICE, operations);
  });
  afterAll(async () => {
    await Promise.all([client.close(), server.close(), raw.close()]);
  });

  test('bytes come back as they went, with the headers of the answer', async () => {
    const body = randomBytes(100_000);
    const params = { bucket: 'demo', key: 'a/b:c' };
    const reply = await client.request(store, { params, body });
    expect(reply.status).toBe(201);
    expect(Buffer.compare(reply.body, body)).toBe(0);
    expect(reply.headers).toMatchObject({ etag: '7', 'fixture-key': Buffer.from('a/b:c').toString('hex') });
  });

  test('a key is any bytes', async () => {
    const key = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));
    const reply = await client.request(store, { params: { bucket: 'demo', key }, body: '' });
    expect(reply.headers['fixture-key']).toBe(Buffer.from(key, 'latin1').toString('hex'));
    expect(reply.body).toHaveLength(0);
  });

  test('a key that is no byte string is refused before it is sent', async () => {
    const params = { bucket: 'demo', key: '日' };
    await expect(client.request(store, { params })).rejects.toThrow(/is no byte/);
  });

  test('query members mean what they mean over HTTP', async () => {
    const params = { bucket: 'demo', key: 'k' };
    const reply = await client.request(store, { params, query: { reverse: true }, body: 'abc' });
    expect(Buffer.from(reply.body).toString()).toBe('cba');
  });

  test('a JSON body is checked, and defaults are filled in', async () => {
    const reply = await client.request(add, { body: JSON.stringify({ a: 1.26, b: 2 }), query: { precision: 1 } });
    expect(json(reply)).toEqual({ sum: '3.3' });
    expect(json(await client.request(add, { body: '{"a":1,"b":2}' }))).toEqual({ sum: '3' });
  });

  test.each([
    ['a body that is not JSON', { body: '{"a":' }, /not JSON/, undefined],
    ['no body where one is wanted', {}, /body/, undefined],
    ['a member of the wrong type', { body: '{"a":"1","b":2}' }, /^\/a: /, '/a'],
    [
      'a query member that is malformed',
      { body: '{"a":1,"b":2}', query: { precision: 'x' } },
      /one digit/,
      '/query/precision',
    ],
    [
      'an unknown name',
      { body: '{"a":1,"b":2}', query: { precison: 1 } },
      /did you mean precision\?/,
      '/query/precison',
    ],
  ])('%s is an invalid request', async (_case, request, words, path) => {
    const problem = await client.request(add, request).catch((thrown) => thrown);
    expect(problem).toMatchObject({ code: 'invalid_request', message: expect.stringMatching(words) });
    if (path !== undefined) expect(problem.issues[0].path).toBe(path);
  });

  test('a JSON body reaches a handler that keeps parts of it as they were written', async () => {
    const text = '{"n": 9007199254740993}';
    const reply = await client.request(quote, { params: { bucket: 'demo' }, body: text });
    expect(json(reply)).toEqual({ text, value: { n: 9_007_199_254_740_992 } });
    const byHand = await raw.request(quote.subject, '{"bucket": "demo", "n": [1.5]}', { timeout: 1_000 });
    expect(byHand.json()).toEqual({ text: '{"n":[1.5]}', value: { n: [1.5] } });
    const abyss = `{"bucket":"demo","n":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    const refused = await raw.request(quote.subject, abyss, { timeout: 1_000 });
    expect(refused.json()).toMatchObject({ status: 400, code: 'invalid_request' });
  });

  test('a body of another media type is refused', async () => {
    const request = { body: '{"a":1,"b":2}', headers: { 'content-type': 'text/plain' } };
    await expect(client.request(add, request)).rejects.toMatchObject({ code: 'unsupported_media_type' });
  });

  test('a missing parameter is named', async () => {
    await expect(client.request(store, { params: { bucket: 'demo' } })).rejects.toThrow(/key is missing/);
  });

  test('a problem is thrown as the service threw it', async () => {
    const problem = await client.request(fail, { params: { kind: 'problem' } }).catch((thrown) => thrown);
    expect(problem).toMatchObject({
      code: 'precondition_failed',
      message: 'the revision is 7',
      members: { revision: 7 },
      retryAfterMs: 1_500,
    });
  });

  test('a bug is told without its words, which are in the log', async () => {
    const problem = await client.request(fail, { params: { kind: 'bug' } }).catch((thrown) => thrown);
    expect(problem.code).toBe('internal');
    expect(problem.message).not.toMatch(/secret/);
    expect(log.lines.at(-1)).toMatchObject({
      level: 'error',
      fields: { error: expect.stringMatching(/secret is undefined/) },
    });
  });

  test('a problem carries the headers of NATS services', async () => {
    const reply = await raw.request(fail.subject, '{"kind":"problem"}', { timeout: 1_000 });
    expect(reply.headers?.get('Plinth-Status')).toBe('412');
    expect(reply.headers?.get('Nats-Service-Error-Code')).toBe('412');
    expect(reply.headers?.get('Nats-Service-Error')).toBe('A precondition does not hold');
    expect(reply.headers?.get('content-type')).toBe('application/problem+json');
    expect(reply.json()).toMatchObject({ code: 'precondition_failed', instance: expect.any(String) });
  });

  describe('written by hand, as one JSON object', () => {
    const ask = (subject: string, members: unknown) =>
      raw.request(subject, JSON.stringify(members), { timeout: 1_000 });

    test('names of path and query are taken out, and what is left is the body', async () => {
      expect((await ask(add.subject, { precision: 1, a: 1, b: 2 })).json()).toEqual({ sum: '3.0' });
      const stored = await ask(store.subject, { bucket: 'demo', key: 'caf%C3%A9', answer: 42 });
      expect(stored.string()).toBe('{"answer":42}');
      expect(stored.headers?.get('fixture-key')).toBe(Buffer.from('café').toString('hex'));
    });

    test('text beyond ASCII counts as its UTF-8', async () => {
      const stored = await ask(store.subject, { bucket: 'demo', key: 'café' });
      expect(stored.headers?.get('fixture-key')).toBe(Buffer.from(latin1('café'), 'latin1').toString('hex'));
    });

    test('what is left of an operation without a body is a misspelt name', async () => {
      expect((await ask(fail.subject, { kind: 'x', knid: 'y' })).json()).toMatchObject({
        code: 'invalid_request',
        detail: expect.stringMatching(/did you mean kind\?/),
      });
    });

    test('a broken percent sign is told', async () => {
      expect((await ask(store.subject, { bucket: 'demo', key: '50%' })).json()).toMatchObject({
        code: 'invalid_request',
      });
    });
  });

  test('the caller names the request, and its headers arrive by their lower-case names', async () => {
    const reply = json(
      await client.request(echo, { headers: { 'request-id': 'r-1', 'fixture-tag': 'x' }, timeoutMs: 900 }),
    );
    expect(reply).toMatchObject({ id: 'r-1', tag: 'x' });
    expect(reply.deadlineInMs).toBeLessThanOrEqual(900);
    expect(reply.deadlineInMs).toBeGreaterThan(500);
  });

  test('a time that is no number of milliseconds is refused', async () => {
    const reply = await raw.request(echo.subject, '{}', { timeout: 1_000 });
    expect(reply.json()).toMatchObject({ deadlineInMs: null });
    await expect(client.request(echo, { timeoutMs: 3_600_001 })).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('a header that would break the message is refused, not forged', async () => {
    const headers = { 'fixture-tag': 'x\r\nPlinth-Params: {}' };
    await expect(client.request(echo, { headers })).rejects.toThrow(/would break the message/);
  });

  test('when no answer comes in time, only of a read is it known that nothing happened', async () => {
    const request = { params: { ms: '60000' }, timeoutMs: 50 };
    // The service's own deadline is the same moment, and its answer says the same.
    await expect(client.request(wait, request)).rejects.toMatchObject({ code: 'deadline_exceeded' });
    raw.subscribe('plinth.silent.v1.waitOnce', { callback: () => {} });
    raw.subscribe('plinth.silent.v1.wait', { callback: () => {} });
    await raw.flush();
    const silent = (operation: typeof wait) => ({
      ...operation,
      subject: operation.subject.replace('fixture', 'silent'),
    });
    await expect(client.request(silent(waitOnce), request)).rejects.toMatchObject({ code: 'outcome_unknown' });
    await expect(client.request(silent(wait), request)).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const write = { ...silent(wait), method: 'PUT' } as const;
    await expect(client.request(write, request)).rejects.toMatchObject({ code: 'outcome_unknown' });
  });

  test('a caller may stop waiting', async () => {
    const abort = new AbortController();
    const reply = client.request(wait, { params: { ms: '60000' }, signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(reply).rejects.toThrow('enough');
    await expect(client.request(echo, { signal: abort.signal })).rejects.toThrow('enough');
  });

  test('a service that is not there is said not to be there', async () => {
    const elsewhere = { ...echo, service: 'nobody', subject: 'plinth.nobody.v1.echo' };
    await expect(client.request(elsewhere, {})).rejects.toMatchObject({
      code: 'unavailable',
      message: 'no nobody service is on the bus',
    });
  });

  test('an operation that streams has no endpoint', async () => {
    await expect(client.request(watch, {})).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('an answer or a request beyond max_payload is refused with the limit', async () => {
    expect((await client.request(large, { params: { bytes: '1000000' } })).body).toHaveLength(1_000_000);
    await expect(client.request(large, { params: { bytes: '1048576' } })).rejects.toMatchObject({
      code: 'unprocessable',
      message: expect.stringMatching(/the bus carries 1,048,576: ask for less, or over HTTP/),
    });
    const params = { bucket: 'demo', key: 'k' };
    await expect(client.request(store, { params, body: new Uint8Array(1_048_576) })).rejects.toMatchObject({
      code: 'body_too_large',
      members: { limitBytes: 1_048_576 },
    });
  });
});

test('a service that has too much to do says so at once', async () => {
  const bus = await connectBus({ url: nats.url, name: 'busy' });
  await bus.serve({ ...SERVICE, name: 'busy', inFlightMax: 2 }, fixture().operations);
  const waits = [1, 2].map(() => bus.request(wait, { params: { ms: '300' } }));
  await expect(bus.request(echo, {})).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 1_000 });
  await Promise.all(waits);
  await expect(bus.request(echo, {})).resolves.toMatchObject({ status: 200 });
  await bus.close();
});

test('replicas share the requests of their queue group', async () => {
  const buses = await Promise.all(['a', 'b'].map((name) => connectBus({ url: nats.url, name })));
  await Promise.all(buses.map((bus, at) => bus.serve(SERVICE, fixture('ab'[at]).operations)));
  const replies = await Promise.all(
    Array.from({ length: 200 }, () => buses[0]!.request(add, { body: '{"a":1,"b":2}' })),
  );
  const byReplica = Map.groupBy(replies, (reply) => reply.headers['fixture-replica']);
  expect(byReplica.get('a')!.length).toBeGreaterThan(20);
  expect(byReplica.get('b')!.length).toBeGreaterThan(20);
  await Promise.all(buses.map((bus) => bus.close()));
});

test('a replica that drains loses no request', async () => {
  const [client, staying, leaving] = await Promise.all(
    ['c', 's', 'l'].map((name) => connectBus({ url: nats.url, name })),
  );
  await staying!.serve(SERVICE, fixture('staying').operations);
  await leaving!.serve(SERVICE, fixture('leaving').operations);
  let isOver = false;
  const replicas: string[] = [];
  const caller = async () => {
    while (!isOver) {
      const reply = await client!.request(wait, { params: { ms: '5' }, timeoutMs: 2_000 });
      replicas.push(reply.headers['fixture-replica']!);
    }
  };
  const callers = Array.from({ length: 20 }, caller);
  await sleep(200);
  await leaving!.close();
  const answered = replicas.length;
  await sleep(200);
  isOver = true;
  await Promise.all(callers);
  expect(replicas.slice(0, answered)).toContain('leaving');
  expect(new Set(replicas.slice(answered + 20))).toEqual(new Set(['staying']));
  await Promise.all([client!.close(), staying!.close()]);
});

test('closing lets a request end that is under way, and its answer arrive', async () => {
  const [client, server] = await Promise.all(['c', 's'].map((name) => connectBus({ url: nats.url, name })));
  await server!.serve(SERVICE, fixture().operations);
  const reply = client!.request(wait, { params: { ms: '300' } });
  await sleep(50);
  await server!.close();
  await expect(reply).resolves.toMatchObject({ status: 204 });
  await expect(client!.request(echo, {})).rejects.toMatchObject({ code: 'unavailable' });
  await client!.close();
  await expect(client!.request(echo, {})).rejects.toThrow('the bus is closed');
});

describe('when the server goes away', () => {
  test('callers are told at once, it is logged once, and all works again when it is back', async () => {
    const server = await startTestNats();
    const log = testLog();
    const bus = await connectBus({ url: server.url, name: 'fixture', log });
    await bus.serve(SERVICE, fixture().operations);
    const events: BusEvent[] = [];
    bus.subscribe('plinth.fixture.v1.events.>', (event) => void events.push(event));
    expect(bus.notReady()).toBeUndefined();

    await server.kill();
    await eventually(() => expect(bus.notReady()).toMatch(/^the bus has been away for/));
    await expect(bus.request(echo, {})).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 1_000 });
    expect(() => bus.publish('plinth.fixture.v1.events.x', '')).toThrow(/away/);
    await expect(bus.flush()).rejects.toMatchObject({ code: 'unavailable' });
    await sleep(500);

    await server.start();
    await eventually(() => expect(bus.notReady()).toBeUndefined(), { timeoutMs: 15_000 });
    await expect(bus.request(echo, {})).resolves.toMatchObject({ status: 200 });
    bus.publish('plinth.fixture.v1.events.x', 'back');
    await eventually(() => expect(events).toHaveLength(1));
    expect(log.lines.map(({ level }) => level)).toEqual(['warn', 'info']);
    await bus.close();
  });

  test('closing does not wait for it', async () => {
    const server = await startTestNats();
    const bus = await connectBus({ url: server.url, name: 'fixture' });
    await bus.serve(SERVICE, fixture().operations);
    await server.kill();
    await eventually(() => expect(bus.notReady()).toBeDefined());
    const startedMs = Date.now();
    await bus.close();
    expect(Date.now() - startedMs).toBeLessThan(3_000);
  });

  test('a server that is not there at first is waited for, and given up in the end', async () => {
    const server = await startTestNats();
    await server.stop();
    const log = testLog();
    const connecting = connectBus({ url: server.url, name: 'early', log });
    await eventually(() => expect(log.lines.length).toBeGreaterThan(0));
    await server.start();
    await (await connecting).close();
    await server.stop();
    await expect(connectBus({ url: server.url, name: 'late', connectMsMax: 100 })).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});

test('a server with passwords takes those who know one, and refuses others at once', async () => {
  // The test engine itself asks without a name whether the server is ready.
  const users = '[{ user: anyone, password: any }, { user: kv, password: s3cret }]';
  const server = await startTestNats({ config: `authorization { users: ${users} }\nno_auth_user: anyone` });
  const bus = await connectBus({ url: server.url, name: 'known', user: 'kv', password: 's3cret' });
  await bus.flush();
  await bus.close();
  const startedMs = Date.now();
  await expect(connectBus({ url: server.url, name: 'x', user: 'kv', password: 'guess' })).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.not.stringMatching(/guess/),
  });
  expect(Date.now() - startedMs).toBeLessThan(2_000);
});

test('what the bus has no words for goes over its connection: bare messages, and JetStream', async () => {
  const bus = await connectBus({ url: nats.url, name: 'borrower' });
  bus.nats.subscribe('bare.double', {
    callback: (_, message) => void message.respond(`${Number(message.string()) * 2}`),
  });
  expect((await bus.nats.request('bare.double', '21')).string()).toBe('42');
  const { streams } = (await bus.nats.request('$JS.API.INFO', '')).json<{ streams: number }>();
  expect(streams).toBeGreaterThanOrEqual(0);
  await bus.close();
  expect(bus.nats.isClosed()).toBe(true);
});

describe('events', () => {
  test('arrive in order, one at a time, and a throw does not stop them', async () => {
    const log = testLog();
    const bus = await connectBus({ url: nats.url, name: 'events', log });
    const seen: string[] = [];
    let atOnce = 0;
    bus.subscribe('plinth.fixture.v1.events.*', async ({ subject, payload, headers }) => {
      expect(++atOnce).toBe(1);
      await sleep(1);
      atOnce--;
      seen.push(`${subject.split('.').at(-1)} ${Buffer.from(payload)} ${headers['fixture-tag']}`);
      if (seen.length === 2) throw new Error('not this one');
    });
    await bus.flush();
    for (const count of [1, 2, 3, 4]) {
      bus.publish('plinth.fixture.v1.events.x', String(count), { headers: { 'fixture-tag': 't' } });
    }
    await bus.close();
    expect(seen).toEqual(['x 1 t', 'x 2 t', 'x 3 t', 'x 4 t']);
    expect(log.lines).toMatchObject([{ level: 'error', fields: { error: expect.stringMatching(/not this one/) } }]);
  });

  test('a payload may be reused once it is published, and kept once it is received', async () => {
    const bus = await connectBus({ url: nats.url, name: 'events' });
    const kept: Uint8Array[] = [];
    const subscription = bus.subscribe('plinth.fixture.v1.events.copy', ({ payload }) => void kept.push(payload));
    await bus.flush();
    const buffer = Buffer.alloc(4);
    for (let count = 0; count < 1_000; count++) {
      buffer.writeUInt32BE(count);
      bus.publish('plinth.fixture.v1.events.copy', buffer);
    }
    await bus.flush();
    await subscription.stop();
    expect(kept.map((payload) => Buffer.from(payload).readUInt32BE())).toEqual(
      Array.from({ length: 1_000 }, (_, n) => n),
    );
    expect(kept.every((payload) => payload.buffer.byteLength <= 2 * payload.byteLength)).toBe(true);
    await bus.close();
  });
});
