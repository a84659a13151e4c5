/** The door of one mount: what every request meets before somebody else's router has it, and what is noted behind it. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { grouped, Problem, toProblem } from '@plinth/problem';
import { inContext, type Traced, traceIdOf } from '@plinth/telemetry';
import type { Mount } from '../kit.ts';
import { type Floor, requestIdOf } from './floor.ts';
import { CALLER_GONE, type RouteMetrics } from './http-metrics.ts';
import type { Asked } from './key-guard.ts';
import { isOwnPage, sessionKey } from './mount-session.ts';
import { problemReply, writeReply } from './reply.ts';
import { checkBodyHead, welcomeBody } from './request-body.ts';
import { beginTrace, endTrace } from './request-span.ts';

export interface MountRoute {
  mount: Mount;
  /** In bytes. */
  bodyBytesMax: number;
  metrics: RouteMetrics;
}

type Next = (error?: unknown) => void;

/** As Express hands it on. */
type MountedRequest = IncomingMessage & { originalUrl: string };

/** What is kept of a request until its answer is gone. */
interface Begun {
  traced: Traced | undefined;
  requestId: string;
  traceId: string | undefined;
  /** The mount has nothing there, or failed: the answer is somebody else's. */
  isHandedOn: boolean;
}

/** Methods that change nothing (RFC 9110 §9.2.1). */
const isSafe = (method: string | undefined): boolean => method === 'GET' || method === 'HEAD';

export class MountDoor {
  readonly #route: MountRoute;
  readonly #floor: Floor;

  constructor(route: MountRoute, floor: Floor) {
    this.#route = route;
    this.#floor = floor;
  }

  get path(): string {
    return this.#route.mount.path;
  }

  serve(req: MountedRequest, res: ServerResponse, next: Next): void {
    const { originalUrl } = req;
    const path = originalUrl.split('?', 1)[0]!;
    const visit = this.#begin(req, res, path);
    const refuse = (thrown: unknown) => this.#refuse(req, res, toProblem(thrown), visit);
    const handOn: Next = (error) => {
      visit.isHandedOn = true;
      next(error);
    };
    try {
      const headers = this.#identified(req);
      const refusal = this.#refusal(headers, req.method!, path);
      if (refusal !== undefined) throw refusal;
      this.#admit(req, res);
      const goOn = (limited: Problem | undefined) => {
        if (limited !== undefined) return refuse(limited);
        const mayWrite = this.#refusal(headers, 'POST', path) === undefined;
        this.#writeHead(res, visit);
        const handle = () => this.#route.mount.handle({ req, res, next: handOn, mayWrite });
        if (visit.traced === undefined) handle();
        else inContext(visit.traced.context, handle);
      };
      const limited = this.#floor.keyGuard?.limit(headers);
      if (limited instanceof Promise) limited.then(goOn).catch(handOn);
      else goOn(limited);
    } catch (thrown) {
      refuse(thrown);
    }
  }

  /** Counts it until its answer is gone, in whatever way. */
  #begin(req: MountedRequest, res: ServerResponse, path: string): Begun {
    const { mount, metrics } = this.#route;
    const { accessLog, nextId } = this.#floor;
    const { originalUrl } = req;
    const startedMs = performance.now();
    const spanName = `${req.method} ${mount.path}`;
    const { traced, trace } = beginTrace(req, { spanName, operation: { path: mount.path } }, path) ?? {};
    const requestId = requestIdOf(req.headers['request-id'], nextId);
    const visit: Begun = { traced, requestId, traceId: traced && traceIdOf(trace), isHandedOn: false };
    this.#floor.inFlight++;
    res.once('close', () => {
      this.#floor.inFlight--;
      const status = res.writableFinished ? res.statusCode : CALLER_GONE;
      const durationMs = performance.now() - startedMs;
      metrics.record(status, durationMs);
      if (traced !== undefined) endTrace(traced, status, undefined);
      // Whoever answered what was handed on has noted it, unless it could not answer.
      if (visit.isHandedOn && res.writableFinished) return;
      accessLog?.note(req, originalUrl, { ...visit, operation: mount.name, status, durationMs });
    });
    return visit;
  }

  /** With the key of its session, if it has no other. @throws Problem `foreign_origin`. */
  #identified(req: IncomingMessage): IncomingHttpHeaders {
    const key = this.#floor.keyGuard === undefined ? undefined : sessionKey(req.headers);
    if (key === undefined) return req.headers;
    if (!isSafe(req.method) && !isOwnPage(req.headers)) {
      throw new Problem('foreign_origin', 'with a session, only a page of this origin may change something');
    }
    return { ...req.headers, 'api-key': key };
  }

  #refusal(headers: IncomingHttpHeaders, method: string, path: string): Problem | undefined {
    const asked: Asked = { name: this.#route.mount.name, method: method as Asked['method'], readsOnly: false };
    return this.#floor.keyGuard?.refusal(headers, asked, path);
  }

  /** As many at once, and bodies as long, as everywhere. @throws Problem */
  #admit(req: IncomingMessage, res: ServerResponse): void {
    const { inFlight, inFlightMax } = this.#floor;
    if (inFlight > inFlightMax) {
      const detail = `${grouped(inFlightMax)} requests are being worked on; that is the most`;
      throw new Problem('overloaded', detail, { retryAfterMs: 1_000 });
    }
    if (req.headers['transfer-encoding'] !== undefined) {
      throw new Problem('invalid_request', `a body below ${this.path} has a Content-Length`);
    }
    checkBodyHead(req, { bytesMax: this.#route.bodyBytesMax, problem: 'body_too_large' });
    welcomeBody(req, res);
  }

  #writeHead(res: ServerResponse, { requestId, traceId }: { requestId: string; traceId: string | undefined }): void {
    res.setHeader('X-Content-Type-Options', 'nosniff');
    res.setHeader('Request-Id', requestId);
    if (traceId !== undefined) res.setHeader('Trace-Id', traceId);
    if (this.#floor.isClosing) res.setHeader('Connection', 'close');
  }

  /** A person in a browser is led to where a key is asked for; whoever else asks is told. */
  #refuse(
    req: IncomingMessage,
    res: ServerResponse,
    problem: Problem,
    ids: { requestId: string; traceId: string | undefined },
  ): void {
    const { signIn } = this.#route.mount;
    const isPerson = isSafe(req.method) && (req.headers.accept?.includes('text/html') ?? false);
    const isLed = problem.code === 'unauthenticated' && signIn !== undefined && isPerson;
    const led = { status: 303, headers: { location: signIn ?? '', 'cache-control': 'no-store' } };
    const reply = isLed ? led : problemReply(problem, ids.requestId);
    if (problem.code === 'internal') this.#floor.log.error('a request met a bug', { error: problem.cause ?? problem });
    if (res.headersSent) res.destroy();
    else writeReply(req, res, reply, { ...ids, closes: this.#floor.isClosing, readableBy: undefined });
  }
}
