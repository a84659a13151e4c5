/** The one place where what a handler gave or threw becomes a message. */
import type { MsgHdrs } from '@nats-io/transport-node';
import type { Reply } from '@plinth/contracts';
import { grouped, PROBLEM_MEDIA_TYPE, Problem, toProblem } from '@plinth/problem';
import { ERROR_CODE, ERROR_TEXT, STATUS, sizeBytesOf, wireHeaders } from './wire-headers.ts';

export interface Answer {
  headers: MsgHdrs;
  payload: Uint8Array;
}

const NOTHING = new Uint8Array();

/**
 * @param isHead - The caller wants to know of the body, not to have it: its size, as over HTTP.
 * @throws Problem when the reply is a stream, or larger than the bus carries.
 */
export function answerOf(reply: Reply, limitBytes: number, isHead = false): Answer {
  const whole = payloadOf(reply.body);
  const size: Record<string, number> = isHead ? { 'content-length': whole.byteLength } : {};
  const headers = wireHeaders({ [STATUS]: reply.status, ...reply.headers, ...size });
  const payload = isHead ? NOTHING : whole;
  const bytes = sizeBytesOf(headers, payload);
  if (bytes <= limitBytes) return { headers, payload };
  const detail = `the answer is ${grouped(bytes)} bytes; the bus carries ${grouped(limitBytes)}`;
  throw new Problem('unprocessable', `${detail}: ask for less, or over HTTP`, { members: { limitBytes } });
}

/** The answer to a request that failed. `id` is that of the request. */
export function problemAnswer(thrown: unknown, id: string): Answer {
  const problem = toProblem(thrown);
  const headers = {
    [STATUS]: problem.status,
    [ERROR_CODE]: problem.status,
    [ERROR_TEXT]: problem.kind.title,
    'content-type': PROBLEM_MEDIA_TYPE,
    ...problem.toHeaders(),
  };
  return { headers: wireHeaders(headers), payload: Buffer.from(JSON.stringify(problem.toBody(id))) };
}

function payloadOf(body: Reply['body']): Uint8Array {
  if (body === undefined) return NOTHING;
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return body;
  // Whoever holds something open for its reader must hear that there is none.
  void body[Symbol.asyncIterator]().return?.(undefined);
  throw new Problem('unprocessable', 'this answer is a stream, which the bus does not carry: ask over HTTP');
}
