/**
 * One operation, said once. From it come the HTTP route, the NATS endpoint, the typed client and `/openapi.json`;
 * its handler is written once and does not know by which door a call came.
 *
 * ## Over HTTP
 * `method` and `path`. A path is a template: `{name}` is one segment without `/` and `:`, `{+name}` is the rest of the
 * path, slashes included; a `:verb` may follow (`/v1/kv/{bucket}/{+key}:incr`). Path parameters are percent-decoded to
 * *bytes* and handed over as byte strings (each char one byte), since keys need not be UTF-8.
 *
 * ## Over NATS
 * Request on `subject`. Parameters and query members travel in the header `Plinth-Params`, one JSON object, where path
 * parameters are percent-encoded as in a URL; the payload is the body; other headers have their HTTP names, lower case.
 * A request without `Plinth-Params` and with a JSON object as payload is read as all of them in one, so that
 * `nats req plinth.kv.v1.get '{"bucket":"demo","key":"hello"}'` works: members named in the path or the query are taken
 * out, what is left is the body. The reply has the header `Plinth-Status` and otherwise the headers and body of the
 * HTTP answer; a problem also carries `Nats-Service-Error-Code` and `Nats-Service-Error`, as NATS services do.
 * Operations with `streams: true` have no NATS endpoint.
 */
import type { ProblemCode } from '@plinth/problem';
import type { z } from 'zod';

export type HttpMethod = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

export type BodyContract =
  | { kind: 'none' }
  /** Raw bytes, read whole; longer ones are refused before they are read (`problem`, default `body_too_large`). */
  | { kind: 'bytes'; problem?: ProblemCode; description?: string }
  /** One JSON document, checked against `schema`. */
  | {
      kind: 'json';
      schema: z.ZodType;
      mediaTypes?: readonly string[];
      /** The handler checks it; the schema is for the documents. For hot operations, and where a union says too little. */
      isCheckedByHandler?: boolean;
      /** With `isCheckedByHandler`: the handler gets a `JsonText`, for what it keeps is parts of the text as it came. */
      keepsText?: boolean;
    }
  /** Handed to the handler chunk by chunk, with back-pressure. HTTP only. */
  | { kind: 'stream'; mediaType: string; description?: string };

export interface HeaderContract {
  /** As documented, in its usual spelling: `KV-TTL`. */
  name: string;
  description: string;
}

export interface ReplyContract {
  status: number;
  description: string;
  /** Omitted: no body. */
  mediaType?: string;
  schema?: z.ZodType;
  headers?: readonly HeaderContract[];
}

export interface Operation<Query extends z.ZodObject = z.ZodObject, Body extends BodyContract = BodyContract> {
  service: string;
  /** Camel case, unique in the service: `put`, `listBuckets`. */
  name: string;
  summary: string;
  method: HttpMethod;
  path: string;
  /** `plinth.<service>.v1.<name>`. */
  subject: string;
  /** Query parameters: a strict object of strings turned into what they mean. An unknown name is a 400. */
  query: Query;
  /** Request headers that mean something to this operation, for the documents and the bus. */
  headers: readonly HeaderContract[];
  body: Body;
  replies: readonly ReplyContract[];
  problems: readonly ProblemCode[];
  /** Doing it twice is doing it once: a client may repeat it when the outcome is unknown. */
  idempotent: boolean;
  /** A POST that changes nothing, so that a key for reading is enough. GET and HEAD need not say it. */
  readsOnly: boolean;
  /** Answered without an API key: a page that asks for the key itself. */
  open: boolean;
  /** Served in front of Express, on plain `node:http`. Only where a measurement asked for it. */
  hot: boolean;
  /** The answer has no end that is known beforehand (watch, export, NDJSON list). */
  streams: boolean;
}

type Defaulted =
  | 'service'
  | 'subject'
  | 'headers'
  | 'problems'
  | 'idempotent'
  | 'readsOnly'
  | 'open'
  | 'hot'
  | 'streams';

/** Problems that any operation may answer with. */
export const PROBLEMS_OF_ALL = [
  'invalid_request',
  'unauthenticated',
  'forbidden',
  'foreign_origin',
  'not_acceptable',
  'body_too_large',
  'overloaded',
  'unavailable',
  'stopping',
  'deadline_exceeded',
  'internal',
] as const satisfies readonly ProblemCode[];

/** Makes the operations of one service, filling in what follows from the rest. */
export function operationsOf(service: string) {
  return <Query extends z.ZodObject, Body extends BodyContract>(
    spec: Omit<Operation<Query, Body>, Defaulted> & Partial<Omit<Operation<Query, Body>, 'service' | 'subject'>>,
  ): Operation<Query, Body> => ({
    headers: [],
    problems: [],
    idempotent: spec.method !== 'POST' && spec.method !== 'PATCH',
    readsOnly: false,
    open: false,
    hot: false,
    streams: false,
    ...spec,
    service,
    subject: `plinth.${service}.v1.${spec.name}`,
  });
}

/** Where a service tells what happened: `plinth.<service>.v1.events.<what>`. */
export function eventSubject(service: string, what: string): string {
  return `plinth.${service}.v1.events.${what}`;
}

/** What a handler gets: the same by either door. */
export interface Call<Query = Record<string, unknown>, Body = unknown> {
  /** Path parameters as byte strings. */
  params: Record<string, string>;
  query: Query;
  /** A request header by its lower-case name. */
  header(name: string): string | undefined;
  /** The headers whose lower-case name begins with `prefix`, as pairs of the rest of the name and the value. */
  headersWith(prefix: string): readonly (readonly [string, string])[];
  /** `bytes`: Uint8Array, owned by the handler. `json`: checked. `stream`: AsyncIterable<Uint8Array>. `none`: undefined. */
  body: Body;
  /** Aborts when the caller has gone, the deadline passed or the service stops. */
  signal: AbortSignal;
  /** Milliseconds of the service's clock by which the answer is wanted; Infinity when the caller gave none. */
  deadlineMs: number;
  /** The id of this request, for logs and `instance`. */
  id: string;
  /** The address of who is connected, which may be a proxy; undefined over the bus. */
  readonly peer: string | undefined;
  /** The active trace context (an OpenTelemetry `Context`), opaque here. Pass it on with what you
   * ask of others: it also carries the headers of a trace that is not recorded here. Undefined when there is none. */
  trace: unknown;
}

/** What a handler gives back. Header names lower case. */
export interface Reply {
  status: number;
  headers?: Record<string, string | number>;
  /** Bytes or text as they are; an async iterable is streamed with back-pressure. Omitted: no body. */
  body?: Uint8Array | string | AsyncIterable<Uint8Array | string>;
  /** Streams: cut the connection when the reader takes nothing for so many milliseconds. Omitted: never. */
  stallMs?: number;
}

/** A JSON body as text, and what the text says. */
export interface JsonText {
  text: string;
  value: unknown;
}

export type BodyOf<B extends BodyContract> = B extends { kind: 'bytes' }
  ? Uint8Array
  : B extends { keepsText: true }
    ? JsonText
    : B extends { kind: 'json'; schema: infer S extends z.ZodType }
      ? z.output<S>
      : B extends { kind: 'stream' }
        ? AsyncIterable<Uint8Array>
        : undefined;

export type Handler<O extends Operation> = (
  call: Call<z.output<O['query']>, BodyOf<O['body']>>,
) => Reply | Promise<Reply>;

/** An operation together with its handler: what a service serves. */
export interface Served {
  operation: Operation;
  handle: (call: Call) => Reply | Promise<Reply>;
}

/** Pairs an operation with its handler; the types of query and body come from the operation. */
export function serve<O extends Operation>(operation: O, handle: Handler<O>): Served {
  return { operation, handle: handle as Served['handle'] };
}

/** An answer with a JSON body. */
export function json(status: number, value: unknown, headers?: Reply['headers']): Reply {
  return { status, headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(value) };
}
