import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { startOtlpReceiver } from './testkit.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

const inJson = {
  resourceSpans: [
    {
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'kv' } }] },
      scopeSpans: [
        {
          scope: { name: 'test' },
          spans: [
            {
              traceId: TRACE,
              spanId: SPAN,
              name: 'PUT /v1/kv',
              kind: 2,
              startTimeUnixNano: '1893456000000000001',
              endTimeUnixNano: '1893456000000000009',
              attributes: [
                { key: 'http.response.status_code', value: { intValue: '204' } },
                { key: 'tags', value: { arrayValue: { values: [{ stringValue: 'a' }, { boolValue: true }] } } },
              ],
              status: { code: 2, message: 'broken' },
            },
          ],
        },
      ],
    },
  ],
};

/** The same request in protobuf, written field by field. */
function inProtobuf(): Buffer {
  const key = (name: string, value: Buffer) => message(9, message(1, Buffer.from(name)), message(2, value));
  const values = Buffer.concat([message(1, message(1, Buffer.from('a'))), message(1, Buffer.from([2 << 3, 1]))]);
  const span = [
    message(1, Buffer.from(TRACE, 'hex')),
    message(2, Buffer.from(SPAN, 'hex')),
    message(5, Buffer.from('PUT /v1/kv')),
    Buffer.from([6 << 3, 2]),
    fixed64(7, 1893456000000000001n),
    fixed64(8, 1893456000000000009n),
    // 204 as a varint takes two bytes.
    key('http.response.status_code', Buffer.from([3 << 3, 0xcc, 0x01])),
    key('tags', message(5, values)),
    message(15, message(2, Buffer.from('broken')), Buffer.from([3 << 3, 2])),
  ];
  const service = message(1, message(1, Buffer.from('service.name')), message(2, message(1, Buffer.from('kv'))));
  const scope = message(1, message(1, Buffer.from('test')));
  return message(1, message(1, service), message(2, scope, message(2, ...span)));
}

/** A length-delimited field; the lengths in this test fit two varint bytes. */
function message(field: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length < 0x80 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7];
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...length]), body]);
}

function fixed64(field: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (field << 3) | 1;
  bytes.writeBigUInt64LE(value, 1);
  return bytes;
}

const expected = {
  traceId: TRACE,
  spanId: SPAN,
  parentSpanId: undefined,
  name: 'PUT /v1/kv',
  kind: 'server',
  startTimeUnixNano: 1893456000000000001n,
  endTimeUnixNano: 1893456000000000009n,
  attributes: { 'http.response.status_code': 204, tags: ['a', true] },
  events: [],
  links: [],
  status: { code: 'error', message: 'broken' },
  resource: { 'service.name': 'kv' },
  scope: 'test',
};

async function post(url: string, type: string, body: Buffer, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(`${url}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': type, ...headers },
    body: new Uint8Array(body),
  });
  return response.status;
}

test('spans posted as JSON are collected', async () => {
  const receiver = await startOtlpReceiver();
  expect(await post(receiver.url, 'application/json', Buffer.from(JSON.stringify(inJson)))).toBe(200);
  expect(receiver.spans).toEqual([expected]);
});

test('spans posted as protobuf, compressed or not, read the same', async () => {
  const receiver = await startOtlpReceiver();
  const type = 'application/x-protobuf';
  expect(await post(receiver.url, type, inProtobuf())).toBe(200);
  expect(await post(receiver.url, type, gzipSync(inProtobuf()), { 'content-encoding': 'gzip' })).toBe(200);
  expect(receiver.spans).toEqual([expected, expected]);
});

test('a request that is cut short is refused and collects nothing', async () => {
  const receiver = await startOtlpReceiver();
  expect(await post(receiver.url, 'application/x-protobuf', inProtobuf().subarray(0, -1))).toBe(400);
  expect(receiver.spans).toEqual([]);
});

test('waiting for a span that never comes names those that did', async () => {
  const receiver = await startOtlpReceiver();
  await post(receiver.url, 'application/json', Buffer.from(JSON.stringify(inJson)));
  await expect(receiver.waitForSpan(({ name }) => name === 'GET', 50)).rejects.toThrow('received: PUT /v1/kv');
});
