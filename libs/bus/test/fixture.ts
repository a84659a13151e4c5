/** A small service with an operation of each kind. */
import { json, operationsOf, serve } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import { z } from 'zod';

const operation = operationsOf('fixture');
const none = { kind: 'none' } as const;
const noQuery = z.strictObject({});
const ok = [{ status: 200, description: 'Done.' }];

export const store = operation({
  name: 'store',
  summary: 'Gives back the bytes it got',
  method: 'PUT',
  path: '/v1/fixture/{bucket}/{+key}',
  query: z.strictObject({ reverse: z.enum(['true', 'false']).optional() }),
  body: { kind: 'bytes' },
  replies: ok,
});

export const add = operation({
  name: 'add',
  summary: 'Adds two numbers',
  method: 'POST',
  path: '/v1/fixture/sums',
  query: z.strictObject({ precision: z.string().regex(/^\d$/, 'one digit').transform(Number).default(0) }),
  body: { kind: 'json', schema: z.strictObject({ a: z.number(), b: z.number() }) },
  replies: ok,
});

export const quote = operation({
  name: 'quote',
  summary: 'Gives back the JSON it got, as it was written',
  method: 'POST',
  path: '/v1/fixture/{bucket}/quotes',
  query: noQuery,
  body: { kind: 'json', schema: z.unknown(), isCheckedByHandler: true, keepsText: true },
  replies: ok,
});

export const fail = operation({
  name: 'fail',
  summary: 'Throws what it is asked to',
  method: 'GET',
  path: '/v1/fixture/failures/{kind}',
  query: noQuery,
  body: none,
  replies: ok,
});

export const wait = operation({
  name: 'wait',
  summary: 'Answers late, or when it is told to stop',
  method: 'GET',
  path: '/v1/fixture/waits/{ms}',
  query: noQuery,
  body: none,
  replies: ok,
});

/** As `wait`, but doing it twice matters. */
export const waitOnce = operation({ ...wait, name: 'waitOnce', method: 'POST', idempotent: false });

export const large = operation({
  name: 'large',
  summary: 'Answers with so many bytes',
  method: 'GET',
  path: '/v1/fixture/large/{bytes}',
  query: noQuery,
  body: none,
  replies: ok,
});

export const watch = operation({
  name: 'watch',
  summary: 'Never ends',
  method: 'GET',
  path: '/v1/fixture/watch',
  query: noQuery,
  body: none,
  replies: ok,
  streams: true,
});

export const echo = operation({
  name: 'echo',
  summary: 'Tells what it sees of its caller',
  method: 'GET',
  path: '/v1/fixture/echo',
  query: noQuery,
  body: none,
  replies: ok,
});

const FAILURES: Record<string, () => never> = {
  problem() {
    throw new Problem('precondition_failed', 'the revision is 7', { members: { revision: 7 }, retryAfterMs: 1_500 });
  },
  bug() {
    throw new TypeError('secret is undefined');
  },
};

async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** The fixture's handlers; `replica` is told in the header `fixture-replica`. */
export function fixture(replica = 'only') {
  const seen: { headers: Record<string, string>; trace: unknown }[] = [];
  const headers = { 'fixture-replica': replica };
  const operations = [
    serve(store, ({ params, query, body }) => ({
      status: 201,
      headers: { ...headers, 'fixture-key': Buffer.from(params.key!, 'latin1').toString('hex'), etag: 7 },
      body: query.reverse === 'true' ? body.toReversed() : body,
    })),
    serve(add, ({ query, body }) => json(200, { sum: (body.a + body.b).toFixed(query.precision) }, headers)),
    serve(quote, ({ body: { text, value } }) => json(200, { text, value }, headers)),
    serve(fail, ({ params }) => FAILURES[params.kind!]!()),
    serve(wait, async ({ params, signal }) => {
      await waitFor(Number(params.ms), signal);
      return { status: 204, headers };
    }),
    serve(waitOnce, async ({ params, signal }) => {
      await waitFor(Number(params.ms), signal);
      return { status: 204, headers };
    }),
    serve(large, ({ params }) => ({ status: 200, body: new Uint8Array(Number(params.bytes)) })),
    serve(watch, () => ({ status: 200, body: endless() })),
    serve(echo, (call) => {
      seen.push({ headers: Object.fromEntries(call.headersWith('')), trace: call.trace });
      return json(200, { id: call.id, deadlineInMs: call.deadlineMs - Date.now(), tag: call.header('fixture-tag') });
    }),
  ];
  return { operations, seen };
}

async function* endless() {
  for (;;) yield 'more';
}

export const SERVICE = { name: 'fixture', version: '1.2.3', description: 'For the tests of the bus' };
