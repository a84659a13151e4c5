/**
 * Requests over HTTP/1.1 with kept connections.
 *
 * On `node:http`, not on `fetch`: a request takes 31 µs of CPU there, 48 with all that this client adds, and 106 with
 * `fetch` (`http-transport.bench.ts`). And `fetch` resolves `..` in a path, percent-encoded or not, so that a request
 * for one key would silently be one for another.
 */
import http from 'node:http';
import https from 'node:https';
import { type ApiKey, askForBearer, bearerOf } from './api-key.ts';
import { HttpExchange } from './http-exchange.ts';
import { problemOfReply } from './problem-reply.ts';
import { requestTarget } from './request-target.ts';
import type { StreamRequest, Transport, TransportReply, TransportRequest, TransportStream } from './transport.ts';

export interface HttpTransportOptions {
  /** `http://127.0.0.1:7401`, or `https://…`; a path in it is put before all others. */
  url: string;
  apiKey?: ApiKey | undefined;
}

/** More than a service on a few cores answers at a time; further requests wait here, where they have surely not happened. */
const CONNECTIONS_MAX = 64;
/** Servers commonly close quiet connections after 5 s or more; ours announce theirs, and Node stays below that. */
const IDLE_MS_MAX = 60_000;

export class HttpTransport implements Transport {
  readonly #module: typeof http | typeof https;
  readonly #target: http.RequestOptions;
  readonly #pathPrefix: string;
  readonly #agent: http.Agent;
  /** Streams last, so they have connections of their own and do not use up the others'. */
  readonly #streamAgent: http.Agent;
  readonly #findKey: Exclude<ApiKey, string> | undefined;
  /** Of a key that stays the same. */
  readonly #bearer: string | undefined;
  #isClosed = false;

  /** @throws TypeError when `url` is none of HTTP, or `apiKey` is no key. */
  constructor({ url, apiKey }: HttpTransportOptions) {
    const { protocol, hostname, port, pathname } = new URL(url);
    if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError(`${url} is not an http: or https: URL`);
    if (typeof apiKey === 'string') this.#bearer = bearerOf(apiKey);
    else this.#findKey = apiKey;
    this.#module = protocol === 'https:' ? https : http;
    // IPv6 addresses stand in brackets in a URL, and without them in a socket.
    this.#target = { host: hostname.replace(/^\[|\]$/g, ''), ...(port === '' ? {} : { port: Number(port) }) };
    this.#pathPrefix = pathname.replace(/\/+$/, '');
    this.#agent = new this.#module.Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: IDLE_MS_MAX });
    this.#streamAgent = new this.#module.Agent({ keepAlive: false });
  }

  async send(request: TransportRequest): Promise<TransportReply> {
    const exchange = this.#begin(await this.#withKey(request), this.#agent);
    const reply = await exchange.wholeReply();
    if (reply.status >= 400) throw problemOfReply(reply, request.endpoint);
    return reply;
  }

  async openStream(request: StreamRequest): Promise<TransportStream> {
    const exchange = this.#begin(await this.#withKey(request), this.#streamAgent);
    exchange.limitSilence(request.silenceMsMax);
    const stream = await exchange.stream();
    if (stream.status < 400) return stream;
    const body = await bytesOf(stream.chunks);
    throw problemOfReply({ ...stream, body }, request.endpoint);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#agent.destroy();
    this.#streamAgent.destroy();
  }

  /** The request as it may be sent: with the key, and with what is left of its time once that was found. */
  #withKey(request: TransportRequest): TransportRequest | Promise<TransportRequest> {
    const { headers } = request;
    if (this.#findKey !== undefined) return this.#withFoundKey(this.#findKey, request);
    return this.#bearer === undefined ? request : { ...request, headers: { ...headers, authorization: this.#bearer } };
  }

  async #withFoundKey(find: Exclude<ApiKey, string>, request: TransportRequest): Promise<TransportRequest> {
    const startedMs = performance.now();
    const authorization = await askForBearer(find, request);
    const timeoutMs = request.timeoutMs - (performance.now() - startedMs);
    return { ...request, timeoutMs, headers: { ...request.headers, authorization } };
  }

  #begin(request: TransportRequest, agent: http.Agent): HttpExchange {
    if (this.#isClosed) throw new Error('this client is closed');
    request.signal?.throwIfAborted();
    const { endpoint, timeoutMs } = request;
    const headers: Record<string, string | number> = { ...request.headers };
    if (Number.isFinite(timeoutMs)) headers['request-timeout-ms'] = timeoutToPassOn(timeoutMs);
    const path = this.#pathPrefix + requestTarget(request);
    const outgoing = this.#module.request({ ...this.#target, agent, method: endpoint.method, path, headers });
    return new HttpExchange(outgoing, request);
  }
}

/** A little less than is left: so that the service's "it did not happen" arrives before we would have to say "unknown". */
function timeoutToPassOn(timeoutMs: number): number {
  return Math.max(1, Math.floor(timeoutMs - Math.min(100, timeoutMs / 10)));
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}
