/**
 * One request of one operation, from its head to its answer: the same on the hot lane and behind Express.
 *
 * Measured, and therefore so: an exchange is one object and is itself the `Call`; `signal` and its timer are made when
 * they are asked for; a handler that answers at once costs no promise; what is undefined is not looked at again.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { BodyContract, Call, Reply } from '@plinth/contracts';
import { grouped, Problem, toProblem } from '@plinth/problem';
import { inContext, type Traced, traceIdOf } from '@plinth/telemetry';
import type { AccessLog } from './access-log.ts';
import { CallAbort, deadlinePassed, readTimeoutMs } from './call-abort.ts';
import { type Floor, requestIdOf } from './floor.ts';
import { CALLER_GONE } from './http-metrics.ts';
import { checkJsonMediaType, readJson } from './json-body.ts';
import { type Envelope, problemReply, writeReply, writeStreamHead } from './reply.ts';
import { type BodyLimit, bodyChunks, checkBodyHead, readBody, welcomeBody } from './request-body.ts';
import { beginTrace, endTrace } from './request-span.ts';
import type { Found, Route } from './router.ts';
import { dropStream, streamBody } from './stream-reply.ts';

const NOTHING = Object.freeze({});

/** The parts of a request target. */
export interface Target {
  path: string;
  /** Behind the `?`; empty when there is none. */
  search: string;
}

export class Exchange implements Call {
  params: Record<string, string> = NOTHING;
  query: Record<string, unknown> = NOTHING;
  body: unknown = undefined;
  trace: unknown = undefined;
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly id: string;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #route: Route;
  readonly #floor: Floor;
  readonly #readableBy: string | undefined;
  readonly #startedMs = performance.now();
  #abort: CallAbort | undefined;
  #traced: Traced | undefined;
  #problemCode: string | undefined;
  #isOver = false;

  constructor(req: IncomingMessage, res: ServerResponse, route: Route, floor: Floor) {
    this.#req = req;
    this.#res = res;
    this.#route = route;
    this.#floor = floor;
    this.#readableBy = req.headers.origin;
    this.id = requestIdOf(req.headers['request-id'], floor.nextId);
  }

  header(name: string): string | undefined {
    const value = this.#req.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  get peer(): string | undefined {
    return this.#req.socket.remoteAddress;
  }

  headersWith(prefix: string): [string, string][] {
    const found: [string, string][] = [];
    for (const name in this.#req.headers) {
      if (name.startsWith(prefix)) found.push([name.slice(prefix.length), this.header(name)!]);
    }
    return found;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new CallAbort(this.#res, {
        leftMs: this.deadlineMs - this.#floor.now(),
        isStream: this.#route.operation.streams,
        refusal: () => this.#refusal(this.#req.url!.split('?', 1)[0]!),
      });
      this.#floor.abortable.add(this.#abort);
    }
    return this.#abort.signal;
  }

  /** Serves the request; says what goes wrong in its answer, and never throws. */
  run(found: Found, { path, search }: Target): void {
    this.#floor.inFlight++;
    try {
      this.#beginTrace(path);
      const refusal = this.#refusal(path);
      if (refusal !== undefined) throw refusal;
      this.#admit();
      const limited = this.#limited();
      if (limited instanceof Promise) limited.then((late) => this.#goOn(late, found, search));
      else this.#goOn(limited, found, search);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Whoever asks has a key that may do this, and now it is known whether it came too often. */
  #goOn(limited: Problem | undefined, found: Found, search: string): void {
    try {
      if (limited !== undefined) throw limited;
      this.params = found.route.paramsOf(found.captured);
      this.query = found.route.query.read(search);
      this.#readDeadline();
      this.#readBody();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #limited(): Problem | undefined | Promise<Problem | undefined> {
    const { keyGuard } = this.#floor;
    return keyGuard === undefined || this.#route.isVital ? undefined : keyGuard.limit(this.#req.headers);
  }

  #beginTrace(path: string): void {
    const begun = beginTrace(this.#req, this.#route, path);
    if (begun === undefined) return;
    this.#traced = begun.traced;
    this.trace = begun.trace;
  }

  /** What everybody may ask at any time is open; of the rest nothing is read before its key is known. */
  #refusal(path: string): Problem | undefined {
    const { keyGuard } = this.#floor;
    const { isVital, operation } = this.#route;
    if (keyGuard === undefined || isVital || operation.open) return undefined;
    return keyGuard.refusal(this.#req.headers, operation, path);
  }

  #admit(): void {
    const { inFlight, inFlightMax } = this.#floor;
    if (inFlight <= inFlightMax || this.#route.isVital) return;
    const detail = `${grouped(inFlightMax)} requests are being worked on; that is the most`;
    throw new Problem('overloaded', detail, { retryAfterMs: 1_000 });
  }

  #readDeadline(): void {
    const header = this.#req.headers['request-timeout-ms'];
    if (header !== undefined) this.deadlineMs = this.#floor.now() + readTimeoutMs(header);
  }

  #readBody(): void {
    const { body } = this.#route.operation;
    if (body.kind !== 'none') this.#checkBodyHead(body);
    if (body.kind === 'stream') this.body = bodyChunks(this.#req);
    if (body.kind === 'none' || body.kind === 'stream') this.#handle();
    else {
      const received = (bytes: Buffer) => this.#received(bytes);
      readBody(this.#req, limitOf(this.#route), received, (thrown) => this.#fail(thrown));
    }
  }

  #checkBodyHead(body: BodyContract): void {
    if (body.kind === 'json') checkJsonMediaType(body, this.#req.headers['content-type']);
    checkBodyHead(this.#req, limitOf(this.#route));
    welcomeBody(this.#req, this.#res);
  }

  #received(bytes: Buffer): void {
    try {
      const { body } = this.#route.operation;
      this.body = body.kind === 'json' ? readJson(body, bytes) : bytes;
      if (this.deadlineMs <= this.#floor.now()) throw deadlinePassed();
      this.#handle();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Asks the handler. What it throws at once is caught by the caller of this, what it rejects with here. */
  #handle(): void {
    const reply = this.#traced === undefined ? this.#route.handle(this) : this.#handleTraced();
    if (reply instanceof Promise) {
      reply.then(
        (late) => this.#answerLate(late),
        (thrown) => this.#fail(thrown),
      );
    } else this.#answer(reply);
  }

  #answerLate(reply: Reply): void {
    try {
      this.#answer(reply);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #handleTraced(): Reply | Promise<Reply> {
    return inContext(this.trace, () => this.#route.handle(this));
  }

  #answer(reply: Reply): void {
    const { body } = reply;
    if (this.#res.destroyed) this.#leave();
    else if (typeof body !== 'object' || !(Symbol.asyncIterator in body)) this.#answerWhole(reply);
    else if (this.#req.method !== 'HEAD') this.#stream(reply, body);
    else {
      dropStream(body);
      this.#answerWhole({ status: reply.status, headers: reply.headers });
    }
  }

  #answerWhole(reply: Reply): void {
    writeReply(this.#req, this.#res, reply, this.#envelope());
    this.#finish(reply.status);
  }

  /** Answers something thrown; undefined: the caller went away while its body was read. */
  #fail(thrown: unknown): void {
    if (this.#isOver) this.#logBug('failed behind its answer', thrown);
    else if (thrown === undefined || this.#res.destroyed) this.#leave();
    else this.#answerProblem(toProblem(thrown));
  }

  #answerProblem(problem: Problem): void {
    this.#problemCode = problem.code;
    if (problem.code === 'internal') this.#logBug('a request met a bug', problem.cause ?? problem);
    if (this.#res.headersSent) this.#leave();
    else this.#answerWhole(problemReply(problem, this.id));
  }

  /** Nobody is there to be answered, or the answer has begun and cannot be ended well. */
  #leave(): void {
    this.#res.destroy();
    this.#finish(CALLER_GONE);
  }

  #stream(reply: Reply, body: AsyncIterable<Uint8Array | string>): void {
    writeStreamHead(this.#res, reply, this.#envelope());
    this.#count(reply.status);
    this.#floor.streams++;
    streamBody(this.#res, body, reply.stallMs)
      .catch((error) => this.#logBreak(error))
      .finally(() => {
        this.#floor.streams--;
        this.#release(reply.status, this.#elapsedMs());
      });
  }

  #finish(status: number): void {
    this.#release(status, this.#count(status));
  }

  /**
   * The handler's work is done; a stream goes on from here without a place among the requests in flight.
   *
   * @returns How long it took, in milliseconds.
   */
  #count(status: number): number {
    this.#isOver = true;
    this.#floor.inFlight--;
    const durationMs = this.#elapsedMs();
    this.#route.metrics.record(status, durationMs);
    return durationMs;
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  #release(status: number, durationMs: number): void {
    if (this.#traced !== undefined) endTrace(this.#traced, status, this.#problemCode);
    if (this.#floor.accessLog !== undefined && !this.#route.isVital)
      this.#note(this.#floor.accessLog, status, durationMs);
    if (this.#abort === undefined) return;
    this.#abort.release();
    this.#floor.abortable.delete(this.#abort);
  }

  #note(accessLog: AccessLog, status: number, durationMs: number): void {
    const { name: operation } = this.#route.operation;
    const ids = { requestId: this.id, traceId: this.#traceId };
    accessLog.note(this.#req, this.#req.url!, { operation, status, durationMs, ...ids, problem: this.#problemCode });
  }

  get #traceId(): string | undefined {
    return this.#traced && traceIdOf(this.trace);
  }

  #envelope(): Envelope {
    return { requestId: this.id, traceId: this.#traceId, closes: this.#floor.isClosing, readableBy: this.#readableBy };
  }

  /** A problem says what it is by itself: the service stops, a store failed. Anything else is a bug. */
  #logBreak(error: unknown): void {
    if (error instanceof Problem)
      this.#floor.log.warn('a stream was cut off', { request: this.id, reason: error.message });
    else this.#logBug('a stream met a bug', error);
  }

  #logBug(msg: string, error: unknown): void {
    this.#floor.log.error(msg, { request: this.id, operation: this.#route.operation.name, error });
  }
}

function limitOf({ operation: { body }, bodyBytesMax }: Route): BodyLimit {
  const problem = (body.kind === 'bytes' ? body.problem : undefined) ?? 'body_too_large';
  return { problem, bytesMax: body.kind === 'stream' ? Number.POSITIVE_INFINITY : bodyBytesMax };
}
