/** Asking an operation: what goes on the wire, and what its answer means. */
import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { context as otelContext } from '@opentelemetry/api';
import type { Operation } from '@plinth/contracts';
import { percentEncode } from '@plinth/contracts/byte-string';
import { grouped, PROBLEM_MEDIA_TYPE, Problem } from '@plinth/problem';
import { clientSpan, endSpan, injectHeaders, messagingAttributes } from '@plinth/telemetry';
import type { Bus, BusReply, BusRequest } from './bus.ts';
import type { Link } from './link.ts';
import type { Outcome, ReplyInbox } from './reply-inbox.ts';
import { headersOf, ownedBytes, PARAMS, STATUS, sizeBytesOf, TIMEOUT_MS, wireHeaders } from './wire-headers.ts';

const TIMEOUT_MS_DEFAULT = 5_000;

interface Ways {
  connection: NatsConnection;
  inbox: ReplyInbox;
  link: Link;
}

/** Makes `bus.request`. */
export function requester(ways: Ways): Bus['request'] {
  return async (operation, request) => {
    ways.link.assertReady();
    const trace = request.trace ?? otelContext.active();
    const traced = clientSpan(trace, `request ${operation.subject}`, attributesOf(operation));
    if (traced === undefined) return answerOf(ways, operation, request, trace);
    let failure: unknown;
    try {
      return await answerOf(ways, operation, request, traced.context);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      endSpan(traced.span, failure);
    }
  };
}

async function answerOf(ways: Ways, operation: Operation, request: BusRequest, trace: unknown): Promise<BusReply> {
  const { timeoutMs = TIMEOUT_MS_DEFAULT, signal } = request;
  const headers = wireHeaders(requestHeaders(request, timeoutMs, trace));
  const payload = typeof request.body === 'string' ? Buffer.from(request.body) : (request.body ?? new Uint8Array());
  assertFits(ways.connection, headers, payload);
  const send = (reply: string) => ways.connection.publish(operation.subject, payload, { headers, reply });
  const outcome = await ways.inbox.ask(send, { timeoutMs, signal });
  return replyFrom(outcome, operation, timeoutMs);
}

function requestHeaders(request: BusRequest, timeoutMs: number, trace: unknown): Record<string, string> {
  const headers: Record<string, string> = {
    ...request.headers,
    [PARAMS]: membersOf(request),
    [TIMEOUT_MS]: String(Math.ceil(timeoutMs)),
  };
  injectHeaders(trace, headers);
  return headers;
}

function membersOf({ params = {}, query = {} }: BusRequest): string {
  const members: Record<string, string> = {};
  for (const name in params) members[name] = percentEncode(params[name]!);
  for (const name in query) {
    if (query[name] !== undefined) members[name] = String(query[name]);
  }
  return JSON.stringify(members);
}

/** @throws Problem `body_too_large` with the limit that the server set. */
export function assertFits(connection: NatsConnection, headers: MsgHdrs, payload: Uint8Array): void {
  const limitBytes = connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
  const bytes = sizeBytesOf(headers, payload);
  if (bytes <= limitBytes) return;
  const detail = `the message is ${grouped(bytes)} bytes; the bus carries ${grouped(limitBytes)}`;
  throw new Problem('body_too_large', detail, { members: { limitBytes } });
}

function replyFrom(outcome: Outcome, operation: Operation, timeoutMs: number): BusReply {
  if (outcome === 'no responders') {
    throw new Problem('unavailable', `no ${operation.service} service is on the bus`, { retryAfterMs: 1_000 });
  }
  if (outcome === 'timeout') throw noAnswer(operation, timeoutMs);
  const headers = headersOf(outcome);
  const status = Number(headers[STATUS.toLowerCase()]);
  if (!(status >= 100)) throw new Problem('upstream_failed', `what answers ${operation.subject} is no Plinth service`);
  if (status >= 400) throw problemFrom(outcome, headers);
  return { status, headers, body: ownedBytes(outcome.data) };
}

function problemFrom(message: Msg, headers: Record<string, string>): Problem {
  if (headers['content-type'] !== PROBLEM_MEDIA_TYPE) return Problem.fromBody(undefined);
  try {
    return Problem.fromBody(message.json());
  } catch {
    return Problem.fromBody(undefined);
  }
}

/** Only of a read is it known that it changed nothing. */
function noAnswer(operation: Operation, timeoutMs: number): Problem {
  const detail = `no answer from ${operation.service} within ${grouped(timeoutMs)} ms`;
  const isRead = operation.method === 'GET' || operation.method === 'HEAD';
  return new Problem(isRead ? 'deadline_exceeded' : 'outcome_unknown', detail);
}

function attributesOf(operation: Operation) {
  const { subject, service, name } = operation;
  const facts = { system: 'nats', operation: 'request', type: 'send', destination: subject } as const;
  return { ...messagingAttributes(facts).attributes, 'rpc.method': `${service}/${name}` };
}
