/**
 * One POST to somebody else's server: over a connection that is kept, to an address that was checked, with an end in
 * time and size. It follows no redirect, takes no compression and keeps no cookie.
 */
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { addressFault, ForbiddenAddress, guardedLookup, readHttpUrl } from './address-guard.ts';

/** An answer longer than a result may be is no result. */
export const REPLY_BYTES_MAX = 65_536;
/** Shorter than what servers usually keep a connection for (5 s and more), so that theirs is seldom the first to go. */
const IDLE_MS = 4_000;
const SOCKETS_IDLE_MAX = 256;

export interface WebhookCall {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface WebhookReply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** The answer was longer than `REPLY_BYTES_MAX`; `body` is its beginning. */
  readonly isCut: boolean;
}

/**
 * A call without an answer. `connection`: the server could not be reached or broke off. `forbidden`: it may not be
 * called. `timeout`: it was reached, but did not answer in time. `aborted`: by us.
 */
export class WebhookFailure extends Error {
  override name = 'WebhookFailure';
  readonly kind: 'connection' | 'forbidden' | 'timeout' | 'aborted';

  constructor(kind: WebhookFailure['kind'], message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

export interface WebhookClientOptions {
  /** Also private, loopback and link-local addresses: for tests and closed networks. */
  readonly allowPrivateTargets: boolean;
  /** For tests: what a name means. */
  readonly lookup?: LookupFunction;
}

export class WebhookClient {
  readonly #allowPrivate: boolean;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(options: WebhookClientOptions) {
    this.#allowPrivate = options.allowPrivateTargets;
    const lookup = options.lookup ?? guardedLookup(options.allowPrivateTargets);
    const kept = { keepAlive: true, maxFreeSockets: SOCKETS_IDLE_MAX, timeout: IDLE_MS, lookup };
    this.#http = new HttpAgent(kept);
    this.#https = new HttpsAgent(kept);
  }

  /**
   * @throws WebhookFailure when there was no whole answer. Whether the server has worked on the call is then unknown.
   */
  async post(call: WebhookCall): Promise<WebhookReply> {
    try {
      return await this.#once(call);
    } catch (thrown) {
      // The server shut a kept connection just as it was taken up again. It may have read the call; so it may after
      // any failure, and the id of the call is the same.
      if (!(thrown instanceof StaleConnection)) throw thrown;
      return await this.#once(call).catch((again) => {
        throw again instanceof StaleConnection ? again.failure : again;
      });
    }
  }

  /** Shuts the connections that are kept; calls under way end as they will. */
  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #once(call: WebhookCall): Promise<WebhookReply> {
    const read = readHttpUrl(call.url);
    if ('fault' in read) return Promise.reject(new WebhookFailure('forbidden', read.fault));
    // An address is not looked up, so the agents' lookup does not see it.
    const fault = addressFault(read.host, this.#allowPrivate);
    if (fault !== undefined) return Promise.reject(new WebhookFailure('forbidden', fault));
    const isTls = read.url.protocol === 'https:';
    const request = (isTls ? httpsRequest : httpRequest)(read.url, {
      method: 'POST',
      agent: isTls ? this.#https : this.#http,
      headers: { ...call.headers, 'content-length': Buffer.byteLength(call.body) },
    });
    return exchange(request, call);
  }
}

/** A kept connection that the server had shut. */
class StaleConnection extends Error {
  readonly failure: WebhookFailure;

  constructor(failure: WebhookFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

function exchange(request: ClientRequest, call: WebhookCall): Promise<WebhookReply> {
  return new Promise((resolve, reject) => {
    let isConnected = false;
    const end = (settle: () => void) => {
      clearTimeout(timer);
      call.signal.removeEventListener('abort', abort);
      settle();
    };
    const fail = (failure: Error) =>
      end(() => {
        reject(failure);
        request.destroy();
      });
    const abort = () => fail(new WebhookFailure('aborted', 'the call was given up', call.signal.reason));
    const timer = setTimeout(() => fail(timedOut(isConnected, call.timeoutMs)), call.timeoutMs);
    call.signal.addEventListener('abort', abort);
    if (call.signal.aborted) abort();

    request.on('socket', (socket) => {
      isConnected = !socket.connecting;
      if (isConnected) return;
      socket.once('connect', () => {
        isConnected = true;
      });
    });
    request.on('error', (error) => fail(failureOf(error, request.reusedSocket)));
    request.on('response', (response) => {
      readBounded(response).then(
        (reply) => end(() => resolve(reply)),
        (error) => fail(new WebhookFailure('connection', `the answer broke off: ${wordsOf(error)}`, error)),
      );
    });
    request.end(call.body);
  });
}

function timedOut(isConnected: boolean, timeoutMs: number): WebhookFailure {
  if (isConnected) return new WebhookFailure('timeout', `no answer within ${timeoutMs} ms`);
  return new WebhookFailure('connection', `not connected within ${timeoutMs} ms`);
}

function failureOf(error: NodeJS.ErrnoException, isReused: boolean): Error {
  if (error instanceof ForbiddenAddress) return new WebhookFailure('forbidden', error.message);
  const failure = new WebhookFailure('connection', wordsOf(error), error);
  return isReused && (error.code === 'ECONNRESET' || error.code === 'EPIPE') ? new StaleConnection(failure) : failure;
}

/** Of several addresses that were tried Node makes one error without words of its own. */
const wordsOf = (error: NodeJS.ErrnoException): string =>
  error instanceof AggregateError ? error.errors.map((one: Error) => one.message).join('; ') : error.message;

async function readBounded(response: IncomingMessage): Promise<WebhookReply> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    pieces.push(piece);
    bytes += piece.length;
    // Leaving the loop shuts the connection: nobody reads the rest.
    if (bytes > REPLY_BYTES_MAX) break;
  }
  const body = Buffer.concat(pieces).subarray(0, REPLY_BYTES_MAX).toString('utf8');
  return { status: response.statusCode!, headers: response.headers, body, isCut: bytes > REPLY_BYTES_MAX };
}
