/** A small service that has one operation of each sort: what the kit's tests talk to. */
import { json, operationsOf, type Reply, type Served, serve } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import { z } from 'zod';
import { type RunningService, type Service, type StartOptions, startService } from '../src/service-kit.ts';

const operation = operationsOf('fixture');
const none = { kind: 'none' } as const;
const noQuery = z.strictObject({});
const ITEM = '/v1/items/{+key}';
const whole = z.string().regex(/^\d+$/, 'a whole number').transform(Number);

const get = operation({
  name: 'get',
  summary: 'Read an item',
  method: 'GET',
  path: ITEM,
  query: z.strictObject({ limit: whole.optional(), prefix: z.string().optional() }),
  body: none,
  replies: [{ status: 200, description: 'Its bytes.', mediaType: '*/*' }],
  problems: ['invalid_key', 'key_not_found'],
  hot: true,
});
const put = operation({
  name: 'put',
  summary: 'Write an item',
  method: 'PUT',
  path: ITEM,
  query: noQuery,
  body: { kind: 'bytes', problem: 'value_too_large' },
  replies: [{ status: 204, description: 'Written.' }],
  problems: ['invalid_key', 'value_too_large'],
  hot: true,
});
const echo = operation({
  name: 'echo',
  summary: 'Answer the JSON body',
  method: 'POST',
  path: `${ITEM}:echo`,
  query: noQuery,
  body: {
    kind: 'json',
    mediaTypes: ['application/merge-patch+json'],
    schema: z.strictObject({ operations: z.array(z.strictObject({ 'a/b': z.number().optional(), key: z.string() })) }),
  },
  replies: [{ status: 200, description: 'The body.', mediaType: 'application/json', schema: z.unknown() }],
});
const count = operation({
  name: 'count',
  summary: 'A JSON body with a default',
  method: 'POST',
  path: `${ITEM}:count`,
  query: noQuery,
  body: { kind: 'json', schema: z.strictObject({ by: z.number().default(1) }).default({ by: 1 }) },
  replies: [{ status: 200, description: 'The body.', mediaType: 'application/json' }],
});
const quote = operation({
  name: 'quote',
  summary: 'Answer the JSON body as it was written',
  method: 'POST',
  path: `${ITEM}:quote`,
  query: noQuery,
  body: { kind: 'json', schema: z.unknown(), isCheckedByHandler: true, keepsText: true },
  replies: [{ status: 200, description: 'The body.', mediaType: 'application/json' }],
});
const rename = operation({
  name: 'rename',
  summary: 'A segment, not hot, no keys',
  method: 'POST',
  path: '/v1/names/{name}',
  query: noQuery,
  body: none,
  replies: [{ status: 200, description: 'The parameters.', mediaType: 'application/json' }],
});
const wait = operation({
  name: 'wait',
  summary: 'Answer when told, or when the call is aborted',
  method: 'GET',
  path: '/v1/wait',
  query: noQuery,
  body: none,
  replies: [{ status: 200, description: 'Told.' }],
});
const work = operation({ ...wait, name: 'work', summary: 'Answer after 20 ms', path: '/v1/work', hot: true });
const stream = operation({
  ...wait,
  name: 'stream',
  summary: 'Pieces without end',
  path: '/v1/stream',
  query: z.strictObject({ pieceBytes: whole.default(16), breakAfter: whole.optional() }),
  streams: true,
});
const take = operation({
  name: 'take',
  summary: 'A body as a stream',
  method: 'POST',
  path: '/v1/take',
  query: z.strictObject({ stopAfterBytes: whole.optional() }),
  body: { kind: 'stream', mediaType: 'application/x-ndjson' },
  replies: [{ status: 200, description: 'How much there was.' }],
  streams: true,
});
const fail = operation({
  ...wait,
  name: 'fail',
  summary: 'Throw',
  path: '/v1/fail/{how}',
  hot: true,
});

/** What the tests see and steer. */
export interface Fixture {
  /** Names of the handlers that were called, in order. */
  calls: string[];
  /** Reasons that signals were aborted with. */
  aborts: unknown[];
  /** Streams that ended in order, by their `finally`. */
  streamsEnded: number;
  /** Lets what waits go on. */
  go: () => void;
  notReady: string | undefined;
  events: string[];
  drain: () => Promise<void>;
  stop: () => Promise<void>;
}

export interface RunningFixture extends RunningService {
  fixture: Fixture;
}

function operations(fixture: Fixture): Served[] {
  const items = new Map<string, Uint8Array>();
  const gate = Promise.withResolvers<void>();
  fixture.go = () => gate.resolve();
  const told = (name: string) => fixture.calls.push(name);
  return [
    serve(get, (call) => {
      const { params, query, id } = call;
      told('get');
      if (params.key === 'invalid-header') return { status: 200, headers: { 'x-note': 'a\r\nb€' }, body: 'x' };
      const value = items.get(params.key!);
      if (value) return { status: 200, headers: { etag: '"1"' }, body: value };
      return json(200, { params, query, id, agent: call.header('user-agent'), notes: call.headersWith('note-') });
    }),
    serve(put, ({ params, body }) => {
      told('put');
      items.set(params.key!, body);
      return { status: 204, headers: { 'item-bytes': body.length } };
    }),
    serve(echo, ({ body, params }) => json(200, { body, params })),
    serve(count, ({ body }) => json(200, body)),
    serve(quote, ({ body: { text, value } }) => json(200, { text, value })),
    serve(rename, ({ params }) => json(200, params)),
    serve(wait, async (call) => {
      told('wait');
      const aborted = new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()));
      await Promise.race([gate.promise, aborted]);
      if (call.signal.aborted) fixture.aborts.push(call.signal.reason);
      call.signal.throwIfAborted();
      return json(200, { deadlineMs: call.deadlineMs });
    }),
    serve(work, async () => {
      told('work');
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { status: 200, body: 'done' };
    }),
    serve(stream, ({ query, signal }) => ({ status: 200, stallMs: 500, body: pieces(fixture, query, signal) })),
    serve(take, async ({ body, query }) => json(200, { bytes: await lengthOf(body, query.stopAfterBytes) })),
    serve(fail, ({ params }) => failing(params.how!)),
  ];
}

async function* pieces(
  fixture: Fixture,
  { pieceBytes, breakAfter }: { pieceBytes: number; breakAfter?: number },
  signal: AbortSignal,
): AsyncGenerator<string> {
  try {
    for (let sent = 0; !signal.aborted; sent++) {
      if (sent === breakAfter) throw new Error('broken');
      yield 'x'.repeat(pieceBytes);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    yield 'resume elsewhere';
  } finally {
    fixture.streamsEnded++;
  }
}

async function lengthOf(body: AsyncIterable<Uint8Array>, stopAfterBytes = Number.POSITIVE_INFINITY): Promise<number> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > stopAfterBytes) throw new Problem('value_too_large', 'a line is too long');
  }
  return bytes;
}

function failing(how: string): Reply | Promise<Reply> {
  const bug = new Error('a secret detail');
  if (how === 'bug') throw bug;
  if (how === 'late-bug') return Promise.reject(bug);
  throw new Problem('overloaded', 'try later', { retryAfterMs: 1_500, members: { waiting: 7 } });
}

/** Starts the fixture on a free port; nothing of it is global. */
export async function startFixture(
  options: StartOptions = {},
  service: Partial<Service> = {},
): Promise<RunningFixture> {
  const fixture: Fixture = {
    calls: [],
    aborts: [],
    streamsEnded: 0,
    go: () => {},
    notReady: undefined,
    events: [],
    drain: async () => void fixture.events.push('drain'),
    stop: async () => void fixture.events.push('stop'),
  };
  const running = await startService(
    {
      name: 'fixture',
      readConfig: () => ({}),
      build: () => ({
        operations: operations(fixture),
        notReady: () => fixture.notReady,
        drain: () => fixture.drain(),
        stop: () => fixture.stop(),
        metrics: () => 'plinth_fixture_items 1',
        describe: () => ({ backend: 'memory' }),
        bodyBytesMax: 1_000,
        ...service,
      }),
    },
    { port: 0, ...options, env: { FIXTURE_LOG_LEVEL: 'silent', ...options.env } },
  );
  return Object.assign(running, { fixture });
}
