/**
 * The HTTP door of a service: one `node:http` server, guards in front, the hot lane beside Express.
 *
 * Measured with `hot-lane.bench.ts`: Express costs about half of the requests per second that plain `node:http` makes,
 * so the operations marked `hot` go past it. Both lanes run the same `Exchange`.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Reply } from '@plinth/contracts';
import { Problem, type ProblemCode, toProblem } from '@plinth/problem';
import type { Express } from 'express';
import type { Log } from '../kit.ts';
import type { AccessLog } from './access-log.ts';
import type { CallAbort } from './call-abort.ts';
import { answerClientError } from './client-error.ts';
import { closeServer } from './close-server.ts';
import { Exchange } from './exchange.ts';
import { expressLane } from './express-lane.ts';
import { type Floor, idSequence, requestIdOf } from './floor.ts';
import type { KeyGuard } from './key-guard.ts';
import { MountDoor, type MountRoute } from './mount-door.ts';
import { createServer } from './node-http.ts';
import { OriginGuard } from './origin-guard.ts';
import { problemReply, writeReply } from './reply.ts';
import type { Router } from './router.ts';

/** Above it new connections are dropped: each costs about 10 KiB and a file descriptor, of which there are 65,536. */
const CONNECTIONS_MAX = 20_000;
/** A head arrives in one or two packets; who takes longer holds a connection for nothing (slow loris). */
const HEADERS_TIMEOUT_MS = 10_000;
/** Longer than the 60 s after which load balancers let go of an idle connection: whoever lets go first causes no race. */
const KEEP_ALIVE_MS = 75_000;
/** How often Node looks for connections that are over those times. */
const CHECK_INTERVAL_MS = 5_000;

export interface HttpServerOptions {
  host: string;
  /** 0: any free one. */
  port: number;
  allowedHosts: readonly string[];
  allowedOrigins: readonly string[];
  inFlightMax: number;
  keyGuard: KeyGuard | undefined;
  mounts: readonly MountRoute[];
  requestTimeoutMs: number;
  /** How long handlers may work on when the server closes, before their signals are aborted; after an eighth more, cut. */
  stopPatienceMs: number;
  log: Log;
  /** Undefined: requests are not logged. */
  accessLog: AccessLog | undefined;
  now: () => number;
  random: () => number;
}

export class HttpServer {
  readonly floor: Floor;
  readonly #options: HttpServerOptions;
  readonly #router: Router;
  readonly #guard: OriginGuard;
  readonly #express: Express;
  readonly #server: Server;

  constructor(router: Router, options: HttpServerOptions) {
    const { log, accessLog, now, inFlightMax, keyGuard, random } = options;
    const nextId = idSequence(random);
    const counts = {
      inFlight: 0,
      streams: 0,
      isClosing: false,
      abortable: new Set<CallAbort>(),
      sockets: new Set<Socket>(),
    };
    this.floor = { log, accessLog, now, inFlightMax, keyGuard, nextId, ...counts };
    keyGuard?.onChange(() => this.#endRefused());
    this.#options = options;
    this.#router = router;
    this.#guard = new OriginGuard({ ...options, listenHost: options.host });
    const mounts = options.mounts.map((mount) => new MountDoor(mount, this.floor));
    this.#express = expressLane(router, mounts, {
      serve: (route, req, res) => this.#serveCold(route, req, res),
      nothingHere: (req, res) => this.#nothingHere(req, res),
      failed: (error, req, res) => this.#refuse(req, res, toProblem(error)),
    });
    this.#server = this.#createServer();
  }

  /** Listens. @returns The port. @throws Error of the system, such as EADDRINUSE. */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Every answer from now on ends its connection, so that callers go elsewhere without losing a request. */
  beginClosing(): void {
    this.floor.isClosing = true;
  }

  /** Stops accepting and resolves when the last request is answered. Streams are told to end. */
  close(): Promise<void> {
    this.beginClosing();
    return closeServer(this.#server, this.floor, { patienceMs: this.#options.stopPatienceMs, log: this.floor.log });
  }

  #createServer(): Server {
    const server = createServer({
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: this.#options.requestTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      // Checked here, for Node's own answer has no body.
      requireHostHeader: false,
    });
    server.maxConnections = CONNECTIONS_MAX;
    server.on('connection', (socket: Socket) => this.#track(socket));
    server.on('request', (req, res) => this.#receive(req, res));
    // `welcomeBody` says "100 Continue", once the head was found to be in order.
    server.on('checkContinue', (req, res) => this.#receive(req, res));
    server.on('checkExpectation', (req, res) => this.#refuse(req, res, unknownExpectation()));
    server.on('clientError', (error, socket) => answerClientError(error, socket, this.floor.nextId()));
    return server;
  }

  #endRefused(): void {
    for (const call of this.floor.abortable) call.endIfRefused();
  }

  #track(socket: Socket): void {
    const { sockets } = this.floor;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  }

  #receive(req: IncomingMessage, res: ServerResponse): void {
    const refusal = this.#refusal(req);
    if (refusal === undefined) this.#dispatch(req, res);
    else this.#refuse(req, res, refusal);
  }

  #dispatch(req: IncomingMessage, res: ServerResponse): void {
    const target = targetOf(req.url!);
    const found = this.#router.find(req.method!, target.path);
    if (found?.route.operation.hot) new Exchange(req, res, found.route, this.floor).run(found, target);
    else this.#express(req, res);
  }

  #refusal(req: IncomingMessage): Problem | undefined {
    if (req.headers.host === undefined && req.httpVersion === '1.1') {
      return new Problem('invalid_request', 'a request of HTTP/1.1 has a Host header');
    }
    return this.#guard.refusal(req.headers);
  }

  #serveCold(route: Router['routes'][number], req: IncomingMessage, res: ServerResponse): void {
    const target = targetOf(req.url!);
    const captured = route.match(target.path);
    if (captured === null) this.#nothingHere(req, res);
    else new Exchange(req, res, route, this.floor).run({ route, captured }, target);
  }

  #nothingHere(req: IncomingMessage, res: ServerResponse): void {
    const { path } = targetOf(req.url!);
    const methods = this.#router.methodsOf(path);
    const headers = { allow: [...methods, 'OPTIONS'].join(', ') };
    if (methods.length === 0) this.#refuse(req, res, new Problem('not_found', `there is nothing at ${path}`));
    else if (req.method !== 'OPTIONS') {
      const detail = `${path} knows ${methods.join(', ')}, not ${req.method}`;
      this.#refuse(req, res, new Problem('method_not_allowed', detail, { headers }));
    } else this.#reply(req, res, () => ({ status: 204, headers: { ...headers, ...preflight(req, methods) } }));
  }

  #refuse(req: IncomingMessage, res: ServerResponse, problem: Problem): void {
    if (problem.code === 'internal') this.floor.log.error('a request met a bug', { error: problem.cause });
    if (res.headersSent) res.destroy();
    else this.#reply(req, res, (id) => problemReply(problem, id), problem.code);
  }

  #reply(req: IncomingMessage, res: ServerResponse, make: (id: string) => Reply, problem?: ProblemCode): void {
    const requestId = requestIdOf(req.headers['request-id'], this.floor.nextId);
    const readableBy = problem === 'foreign_origin' ? undefined : req.headers.origin;
    const reply = make(requestId);
    writeReply(req, res, reply, { requestId, traceId: undefined, closes: this.floor.isClosing, readableBy });
    this.floor.accessLog?.note(req, req.url!, { status: reply.status, requestId, problem });
  }
}

function targetOf(url: string): { path: string; search: string } {
  const mark = url.indexOf('?');
  return mark < 0 ? { path: url, search: '' } : { path: url.slice(0, mark), search: url.slice(mark + 1) };
}

/** What a browser asks before a page of an allowed origin may send the request itself. */
function preflight(req: IncomingMessage, methods: readonly string[]): Record<string, string> {
  if (req.headers.origin === undefined) return {};
  return {
    'access-control-allow-methods': methods.join(', '),
    'access-control-allow-headers': req.headers['access-control-request-headers'] ?? '*',
    'access-control-max-age': '600',
  };
}

function unknownExpectation(): Problem {
  return new Problem('invalid_request', 'the one Expect that is understood is 100-continue');
}
