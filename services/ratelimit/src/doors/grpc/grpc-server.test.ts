import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually, seededRandom } from '@plinth/testkit';
import { perMinute, type TestDecider, testDecider } from '../decider.fixture.ts';
import { call, decode, encode, entriesOf, grpcClient, SHOULD_RATE_LIMIT } from '../envoy.fixture.ts';
import { EnvoyDoor, type EnvoyDoorOptions } from '../envoy-door.ts';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';

let decider: TestDecider;
let door: EnvoyDoor;
let port: number;
let session: ClientHttp2Session;
let notReady: string | undefined;

beforeAll(async () => {
  decider = testDecider([{ keys: ['user'], policy: perMinute(1_000_000) }]);
  door = new EnvoyDoor({ decider, host: '127.0.0.1', port: 0, notReady: () => notReady, bodyMs: 300 });
  port = await door.listen();
  session = connect(`http://127.0.0.1:${port}`);
});
beforeEach(() => {
  decider.asked.length = 0;
  decider.delayMs = undefined;
  notReady = undefined;
});
afterAll(async () => {
  session.destroy();
  await door.stop();
});

const request = encode('RateLimitRequest', { domain: 'api', descriptors: [{ entries: entriesOf({ user: 'a' }) }] });

function framed(message: Buffer, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

interface Answer {
  headers: IncomingHttpHeaders;
  trailers: IncomingHttpHeaders;
  body: Buffer;
}

/** A call by hand: its body in these pieces. */
async function raw(pieces: readonly Buffer[], more: OutgoingHttpHeaders = {}, over = session): Promise<Answer> {
  const stream = over.request({
    ':method': 'POST',
    ':path': SHOULD_RATE_LIMIT,
    'content-type': 'application/grpc',
    ...more,
  });
  const answer: Answer = { headers: {}, trailers: {}, body: Buffer.alloc(0) };
  stream.on('response', (headers) => {
    answer.headers = headers;
  });
  stream.on('trailers', (trailers) => {
    answer.trailers = trailers;
  });
  stream.on('data', (chunk: Buffer) => {
    answer.body = Buffer.concat([answer.body, chunk]);
  });
  stream.on('error', () => {});
  for (const piece of pieces) {
    if (stream.writable) stream.write(piece);
    if (pieces.length > 1) await sleep(0);
  }
  if (stream.writable) stream.end();
  if (!stream.closed) await once(stream, 'close').catch(() => {});
  return answer;
}

const grpcStatus = ({ headers, trailers }: Answer) => Number(trailers['grpc-status'] ?? headers['grpc-status']);
const message = ({ headers }: Answer) => decodeURIComponent(String(headers['grpc-message']));

describe('a call', () => {
  test('is answered with one message and trailers', async () => {
    const answer = await raw([framed(request)]);
    expect(answer.headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc' });
    expect(answer.trailers).toMatchObject({ 'grpc-status': '0' });
    expect(answer.body.readUInt32BE(1)).toBe(answer.body.length - 5);
    expect(decode('RateLimitResponse', answer.body.subarray(5))).toMatchObject({ overall_code: 1 });
  });

  test('byte by byte is answered the same', async () => {
    const answer = await raw([...framed(request)].map((byte) => Buffer.of(byte)));
    expect(grpcStatus(answer)).toBe(status.OK);
    expect(decider.asked).toHaveLength(1);
  });

  test('of any type of gRPC, with an encoding that is none, is one', async () => {
    const more = { 'content-type': 'application/grpc+proto', 'grpc-encoding': 'identity' };
    expect(grpcStatus(await raw([framed(request)], more))).toBe(status.OK);
  });

  test.each<[string, Buffer[], OutgoingHttpHeaders, number, string]>([
    ['without a message', [], {}, status.INTERNAL, 'the call ended before its message'],
    ['of half a message', [framed(request).subarray(0, 9)], {}, status.INTERNAL, 'the call ended before its message'],
    [
      'of two messages',
      [framed(request), framed(request)],
      {},
      status.INTERNAL,
      'a call has one message; there came another',
    ],
    [
      'of two messages at once',
      [Buffer.concat([framed(request), framed(request)])],
      {},
      status.INTERNAL,
      'there came another',
    ],
    [
      'with half a message behind the first',
      [Buffer.concat([framed(request), Buffer.of(0, 0)])],
      {},
      status.INTERNAL,
      'ended before',
    ],
    ['of a flag that is none', [framed(request, 2)], {}, status.INTERNAL, 'begins with the flag 2'],
    ['of a compressed message', [framed(request, 1)], {}, status.UNIMPLEMENTED, 'not decompressed'],
    ['in an encoding', [framed(request)], { 'grpc-encoding': 'gzip' }, status.UNIMPLEMENTED, 'grpc-encoding is gzip'],
    [
      'of a message that is too large',
      [Buffer.from('00ffffffff', 'hex')],
      {},
      status.RESOURCE_EXHAUSTED,
      'the message is 4294967295 bytes; the most is 65536',
    ],
    [
      'of a method there is not',
      [framed(request)],
      { ':path': '/no/method' },
      status.UNIMPLEMENTED,
      'there is no method /no/method',
    ],
    [
      'of a message that is none',
      [framed(Buffer.from('0a05aa', 'hex'))],
      {},
      status.INVALID_ARGUMENT,
      'a field ends behind its message',
    ],
    ['whose time is over', [framed(request)], { 'grpc-timeout': '0m' }, status.DEADLINE_EXCEEDED, 'grpc-timeout'],
  ])('%s fails, and counts nothing', async (_what, pieces, more, code, words) => {
    const answer = await raw(pieces, more);
    expect(grpcStatus(answer)).toBe(code);
    expect(message(answer)).toContain(words);
    expect(answer.headers[':status']).toBe(200);
    expect(decider.asked).toEqual([]);
  });

  test('that is none of gRPC is answered by HTTP', async () => {
    expect((await raw([], { ':method': 'GET' })).headers).toMatchObject({ ':status': 405, allow: 'POST' });
    expect((await raw([framed(request)], { 'content-type': 'application/json' })).headers[':status']).toBe(415);
    expect((await raw([framed(request)], { 'content-type': 'application/grpc-web' })).headers[':status']).toBe(415);
  });

  test('that does not send its message is ended in time', async () => {
    const stream = session.request({
      ':method': 'POST',
      ':path': SHOULD_RATE_LIMIT,
      'content-type': 'application/grpc',
    });
    stream.write(framed(request).subarray(0, 7));
    stream.on('error', () => {});
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    expect(headers).toMatchObject({ 'grpc-status': '4', 'grpc-message': 'the message did not come within 300 ms' });
  });

  test('that its caller gives up harms nobody', async () => {
    decider.delayMs = 30;
    const stream = session.request({
      ':method': 'POST',
      ':path': SHOULD_RATE_LIMIT,
      'content-type': 'application/grpc',
    });
    stream.on('error', () => {});
    stream.end(framed(request));
    await eventually(() => decider.asked.length === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await sleep(60);
    decider.delayMs = undefined;
    expect(grpcStatus(await raw([framed(request)]))).toBe(status.OK);
    expect(door.metrics()).toMatch(/status="CANCELLED"} [1-9]/);
  });
});

describe('random bytes', () => {
  test('as a message or in place of frames end every call, and count nothing but what is whole', async () => {
    const random = seededRandom();
    const codes = new Set<number>();
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(request);
      for (let change = 0; change < 1 + random.int(4); change++) bytes[random.int(bytes.length)] = random.int(256);
      const cut = bytes.subarray(0, random.int(bytes.length + 1));
      const body =
        random() < 0.7 ? framed(cut) : Buffer.from(Array.from({ length: random.int(30) }, () => random.int(256)));
      decider.asked.length = 0;
      const code = grpcStatus(await raw([body]));
      codes.add(code);
      expect(decider.asked).toHaveLength(code === status.OK ? 1 : 0);
    }
    expect(codes).toContain(status.INVALID_ARGUMENT);
    expect(codes).not.toContain(status.UNAVAILABLE);
  }, 30_000);

  test('in place of HTTP/2 lose their own connection alone', async () => {
    const random = seededRandom();
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    for (let round = 0; round < 50; round++) {
      const socket = connectTcp(port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      const noise = Buffer.from(Array.from({ length: 1 + random.int(100) }, () => random.int(256)));
      socket.end(random() < 0.8 ? Buffer.concat([preface, noise]) : noise);
      socket.resume();
      await Promise.race([once(socket, 'close'), sleep(100)]);
      socket.destroy();
    }
    expect(grpcStatus(await raw([framed(request)]))).toBe(status.OK);
  });
});

describe('health', () => {
  const check = async (service: string) => {
    const answer = await call(client, CHECK, encode('HealthCheckRequest', { service }), { metadata: new Metadata() });
    return decode<{ status: number }>('HealthCheckResponse', answer).status;
  };
  let client: Client;
  beforeAll(() => {
    client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  });
  afterAll(() => client.close());

  test('is told of the server and its services, and of no others', async () => {
    expect(await check('')).toBe(SERVING);
    expect(await check('envoy.service.ratelimit.v3.RateLimitService')).toBe(SERVING);
    await expect(check('nobody')).rejects.toMatchObject({ code: status.NOT_FOUND });
    notReady = 'the store is away';
    expect(await check('')).toBe(NOT_SERVING);
  });

  test('is told to those who watch whenever it changes', async () => {
    const bytes = (value: Buffer) => value;
    const watch = client.makeServerStreamRequest(WATCH, bytes, bytes, encode('HealthCheckRequest', {}));
    const unknown = client.makeServerStreamRequest(
      WATCH,
      bytes,
      bytes,
      encode('HealthCheckRequest', { service: 'nobody' }),
    );
    const told: number[] = [];
    const toldOfNobody: number[] = [];
    watch.on('data', (answer: Buffer) => told.push(decode<{ status: number }>('HealthCheckResponse', answer).status));
    unknown.on('data', (answer: Buffer) =>
      toldOfNobody.push(decode<{ status: number }>('HealthCheckResponse', answer).status),
    );
    for (const stream of [watch, unknown]) stream.on('error', () => {});
    await eventually(() => told.length === 1);
    notReady = 'x';
    await eventually(() => told.length === 2);
    notReady = undefined;
    await eventually(() => told.length === 3);
    expect(told).toEqual([SERVING, NOT_SERVING, SERVING]);
    expect(toldOfNobody).toEqual([SERVICE_UNKNOWN]);
    watch.cancel();
    unknown.cancel();
    await eventually(() => door.metrics().includes('grpc_streams 0\n'));
  });
});

describe('bounds', () => {
  const doorWith = async (
    options: Partial<EnvoyDoorOptions>,
    test: (to: number, other: EnvoyDoor) => Promise<void>,
  ) => {
    const other = new EnvoyDoor({ decider, host: '127.0.0.1', port: 0, graceMs: 200, ...options });
    await test(await other.listen(), other);
    await other.stop();
  };

  test('one connection more than there may be is closed, and the others live', async () => {
    await doorWith({ sessionsMax: 1 }, async (to, other) => {
      const first = connect(`http://127.0.0.1:${to}`);
      expect(grpcStatus(await raw([framed(request)], {}, first))).toBe(status.OK);
      const second = connect(`http://127.0.0.1:${to}`);
      second.on('error', () => {});
      await once(second, 'close');
      expect(grpcStatus(await raw([framed(request)], {}, first))).toBe(status.OK);
      expect(other.metrics()).toContain('refused_sessions_total 1\n');
      first.destroy();
    });
  });

  test('a connection is told how many calls it may have at once', async () => {
    await doorWith({ streamsMax: 7 }, async (to) => {
      const client = connect(`http://127.0.0.1:${to}`);
      await once(client, 'remoteSettings');
      expect(client.remoteSettings).toMatchObject({ maxConcurrentStreams: 7, maxHeaderListSize: 16_384 });
      client.destroy();
    });
  });

  test('headers of more than 16 KiB are refused', async () => {
    const answer = await raw([framed(request)], { 'x-large': 'x'.repeat(20_000) });
    expect(grpcStatus(answer)).not.toBe(status.OK);
    expect(decider.asked).toEqual([]);
    expect(grpcStatus(await raw([framed(request)]))).toBe(status.OK);
  });
});

describe('an end in good order', () => {
  test('tells clients to go elsewhere, serves who comes nevertheless, and finishes what is open', async () => {
    const other = new EnvoyDoor({ decider, host: '127.0.0.1', port: 0, graceMs: 2_000 });
    const to = await other.listen();
    const client = connect(`http://127.0.0.1:${to}`);
    client.on('error', () => {});
    expect(grpcStatus(await raw([framed(request)], {}, client))).toBe(status.OK);
    const goaway = once(client, 'goaway');
    const health = grpcClient(to);
    other.drain();
    expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    const answer = await call(health, CHECK, encode('HealthCheckRequest', {}), { metadata: new Metadata() });
    expect(decode('HealthCheckResponse', answer)).toEqual({ status: NOT_SERVING });
    decider.delayMs = 80;
    const open = call(health, SHOULD_RATE_LIMIT, request, { metadata: new Metadata() });
    await eventually(() => decider.asked.length === 2);
    await other.stop();
    expect(decode('RateLimitResponse', await open)).toMatchObject({ overall_code: 1 });
    health.close();
    client.destroy();
  });

  test('does not wait for a call longer than it should', async () => {
    const other = new EnvoyDoor({ decider, host: '127.0.0.1', port: 0, graceMs: 100 });
    const client = grpcClient(await other.listen());
    decider.delayMs = 5_000;
    const open = call(client, SHOULD_RATE_LIMIT, request, { metadata: new Metadata() }).catch((error) => error.code);
    await eventually(() => decider.asked.length === 1);
    const beganMs = performance.now();
    await other.stop();
    expect(performance.now() - beganMs).toBeLessThan(2_000);
    expect(await open).toBe(status.UNAVAILABLE);
    client.close();
  });
});
