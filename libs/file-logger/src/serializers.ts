/** The standard serializers: what of an error, a request and a response stands in a line. */

/** Makes of a value what is written for it. */
// biome-ignore lint/suspicious/noExplicitAny: a serializer is given whatever the program logged under its key.
export type Serializer = (value: any) => unknown;

type Members = Record<string, unknown>;

interface ErrorLike extends Members {
  message: string;
  stack?: unknown;
  cause?: unknown;
}

function isErrorLike(value: unknown): value is ErrorLike {
  return typeof value === 'object' && value !== null && typeof (value as Members).message === 'string';
}

/** `cause` may be a function that returns it. */
function causeOf(error: ErrorLike): unknown {
  const { cause } = error;
  return typeof cause === 'function' ? cause.call(error) : cause;
}

/** What stands in a line for an error: `type`, `message`, `stack`, then the error's own members. */
export class SerializedError {
  declare type: string | undefined;
  declare message: string;
  declare stack: unknown;
  declare aggregateErrors: unknown[] | undefined;
  declare cause: unknown;
  readonly #raw: unknown;

  constructor(raw: ErrorLike, message: string, stack: unknown) {
    this.#raw = raw;
    this.type = typeof raw.constructor === 'function' ? raw.constructor.name : (raw.name as string);
    this.message = message;
    this.stack = stack;
  }

  /** The error itself; not written, for serializers that come after. */
  get raw(): unknown {
    return this.#raw;
  }
}

/** An error with the messages and stacks of its causes appended to its own; anything else as it is. */
export function err(error: unknown): unknown {
  if (!isErrorLike(error)) return error;
  return isBare(error)
    ? new SerializedError(error, error.message, error.stack ?? '')
    : serializedError(error, err, new Set(), true);
}

/** Most errors have nothing but a message and a stack. */
function isBare(error: ErrorLike): boolean {
  if (error.cause !== undefined || error.errors !== undefined) return false;
  for (const _key in error) return false;
  return true;
}

/** An error with its cause as a member of the same form; anything else as it is. */
export function errWithCause(error: unknown): unknown {
  return isErrorLike(error) ? serializedError(error, errWithCause, new Set(), false) : error;
}

/** @param seen - Errors that are being written: each stands in a line once. */
function serializedError(
  error: ErrorLike,
  each: Serializer,
  seen: Set<object>,
  appendsCauses: boolean,
): SerializedError {
  seen.add(error);
  const again = (value: unknown): unknown =>
    isErrorLike(value) ? (seen.has(value) ? undefined : serializedError(value, each, seen, appendsCauses)) : value;
  const result = appendsCauses
    ? new SerializedError(error, causedMessage(error), causedStack(error))
    : new SerializedError(error, error.message, error.stack ?? '');
  if (Array.isArray(error.errors)) result.aggregateErrors = error.errors.map((inner) => each(inner));
  if (!appendsCauses && isErrorLike(error.cause) && !seen.has(error.cause)) result.cause = again(error.cause);
  for (const key in error) {
    if (key in result) continue;
    const value = error[key];
    if (!isErrorLike(value)) (result as unknown as Members)[key] = value;
    else if (key !== 'cause' && !seen.has(value)) (result as unknown as Members)[key] = again(value);
  }
  return result;
}

/** "a: b: c" for an error that b caused, and c that. */
function causedMessage(error: ErrorLike): string {
  if (error.cause === undefined) return error.message;
  const seen = new Set<object>([error]);
  let text = error.message;
  // A cause that is a function is for the stack only.
  for (let cause: unknown = error.cause; isErrorLike(cause); cause = cause.cause) {
    text += `: ${cause.message}`;
    if (seen.has(cause)) return `${text}: ...`;
    seen.add(cause);
  }
  return text;
}

function causedStack(error: ErrorLike): unknown {
  const stack = error.stack ?? '';
  const first = causeOf(error);
  if (!isErrorLike(first)) return stack;
  const seen = new Set<object>([error]);
  let text = `${stack as string}`;
  for (let cause: unknown = first; isErrorLike(cause); cause = causeOf(cause)) {
    text += `\ncaused by: ${(cause.stack ?? '') as string}`;
    if (seen.has(cause)) return `${text}\ncauses have become circular...`;
    seen.add(cause);
  }
  return text;
}

/** What stands in a line for a request of node:http, Express, Hapi and their like. */
export class SerializedRequest {
  declare id: unknown;
  declare method: unknown;
  declare url: unknown;
  declare query: unknown;
  declare params: unknown;
  declare headers: unknown;
  declare remoteAddress: unknown;
  declare remotePort: unknown;
  #raw: unknown;

  constructor(request: Members) {
    const info = (request.info ?? undefined) as Members | undefined;
    const peer = (info ?? request.socket ?? undefined) as Members | undefined;
    this.#raw = request.raw ?? request;
    this.id = typeof request.id === 'function' ? request.id() : request.id || info?.id;
    this.method = request.method;
    this.url = urlOf(request);
    if (request.query) this.query = request.query;
    if (request.params) this.params = request.params;
    this.headers = request.headers;
    this.remoteAddress = peer?.remoteAddress;
    this.remotePort = peer?.remotePort;
  }

  /** The request itself; not written. */
  get raw(): unknown {
    return this.#raw;
  }
}

function urlOf(request: Members): unknown {
  if (request.originalUrl) return request.originalUrl;
  const path = request.path;
  if (typeof path === 'string') return path;
  const url = request.url;
  return url ? (url as Members).path || url : undefined;
}

/** What stands in a line for a response: the status is null until the headers are sent. */
export class SerializedResponse {
  declare statusCode: unknown;
  declare headers: unknown;
  readonly #raw: unknown;

  constructor(response: Members) {
    this.#raw = response.raw ?? response;
    this.statusCode = response.headersSent ? response.statusCode : null;
    this.headers = typeof response.getHeaders === 'function' ? response.getHeaders() : response._headers;
  }

  /** The response itself; not written. */
  get raw(): unknown {
    return this.#raw;
  }
}

/** The standard serializer of requests. */
export function req(request: Members): SerializedRequest {
  return new SerializedRequest(request);
}

/** The standard serializer of responses. */
export function res(response: Members): SerializedResponse {
  return new SerializedResponse(response);
}

/** A request under the key `req`. */
export function mapHttpRequest(request: Members): { req: SerializedRequest } {
  return { req: req(request) };
}

/** A response under the key `res`. */
export function mapHttpResponse(response: Members): { res: SerializedResponse } {
  return { res: res(response) };
}

/** A serializer that is given what the standard one made of an error. */
export function wrapErrorSerializer(custom: Serializer): Serializer {
  return custom === err ? custom : (error) => custom(err(error));
}

/** A serializer that is given what the standard one made of a request. */
export function wrapRequestSerializer(custom: Serializer): Serializer {
  return custom === req ? custom : (request) => custom(req(request));
}

/** A serializer that is given what the standard one made of a response. */
export function wrapResponseSerializer(custom: Serializer): Serializer {
  return custom === res ? custom : (response) => custom(res(response));
}

/** The standard serializers by name. */
export const stdSerializers = {
  err,
  errWithCause,
  req,
  res,
  mapHttpRequest,
  mapHttpResponse,
  wrapErrorSerializer,
  wrapRequestSerializer,
  wrapResponseSerializer,
};
