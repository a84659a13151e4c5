/**
 * A server of gRPC on `node:http2` without TLS, for a few methods. A call costs 30 to 50 µs of processor where grpc-js
 * takes 77 to 138, because messages are handled as bytes, and objects that are the same for all calls are made once.
 *
 * Bounds: `sessionsMax` connections, each with at most `streamsMax` calls at once, 16 KiB of headers a call and 8 MiB of
 * memory in all; a call that has not sent its message in `bodyMs` is ended.
 */
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Call, Frames, statusName } from './call.ts';
import { DEADLINE_EXCEEDED, GrpcError, INTERNAL, toGrpcError, UNAVAILABLE, UNIMPLEMENTED } from './status.ts';

/** One question, one answer. */
export interface UnaryMethod {
  readonly kind: 'unary';
  readonly messageBytesMax: number;
  /** Ends the call by `answer` or `fail`, now or later. What it throws fails the call. */
  handle(message: Buffer, call: Call): void;
}

/** What a call that stays open does with what it hears. What these throw fails the call. */
export interface Conversation {
  message(message: Buffer): void;
  /** The client has said all it wants to. */
  finished(): void;
  /** The call is over, for whatever reason. Called once. */
  closed(): void;
  /** The server stops: ends the call soon. */
  drain(): void;
}

export interface StreamMethod {
  readonly kind: 'stream';
  readonly messageBytesMax: number;
  open(call: Call): Conversation;
}

export type Method = UnaryMethod | StreamMethod;

export interface GrpcServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, Method>;
  readonly sessionsMax: number;
  /** Of one session. */
  readonly streamsMax: number;
  /** How long a call may take to send its message. */
  readonly bodyMs: number;
  /** How long `stop` waits for calls that are open. */
  readonly graceMs: number;
}

const HEADER_BYTES_MAX = 16_384;
const SESSION_MEBIBYTES_MAX = 8;
const KEEP_ALIVE_MS = 60_000;
/** The last stream id there can be: a GOAWAY that names it refuses nothing yet. */
const STREAM_ID_MAX = 2 ** 31 - 1;

export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #conversations = new Set<Conversation>();
  /** Calls whose message is not whole yet, the oldest first. */
  readonly #receiving = new Set<Call>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #ended = new Map<string, number>();
  #refusedSessions = 0;
  #isDraining = false;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    const sockets = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
    this.#server = createServer({
      // Peers that vanished without a word are found by TCP, or their connections would stay for ever.
      ...sockets,
      maxSessionMemory: SESSION_MEBIBYTES_MAX,
      maxHeaderListPairs: 100,
      settings: {
        maxConcurrentStreams: options.streamsMax,
        maxHeaderListSize: HEADER_BYTES_MAX,
        enablePush: false,
      },
    });
    this.#server.on('session', (session) => this.#greet(session));
    this.#server.on('stream', (stream, headers) => this.#accept(stream, headers));
    // A client that is no HTTP/2 client, or breaks its rules, loses its connection; that is no failure of ours.
    this.#server.on('sessionError', () => {});
    this.#sweeper = setInterval(() => this.#sweep(), Math.max(10, options.bodyMs / 4)).unref();
  }

  /** @returns The port. @throws What `node:net` says when it cannot have it. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Tells clients to go elsewhere; whoever calls nevertheless is served. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (const session of this.#sessions) if (!session.destroyed) session.goaway(0, STREAM_ID_MAX);
    for (const conversation of this.#conversations) conversation.drain();
  }

  /** Takes nothing new, finishes the calls that are open, and cuts those that do not end within `graceMs`. */
  async stop(): Promise<void> {
    this.drain();
    clearInterval(this.#sweeper);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    const cut = setTimeout(() => {
      for (const session of this.#sessions) session.destroy();
    }, this.#options.graceMs);
    await closed;
    clearTimeout(cut);
  }

  /** Lines in Prometheus' text format; `prefix` begins their names. */
  metrics(prefix: string): string {
    const ended = [...this.#ended].map(([labels, count]) => `${prefix}_calls_total{${labels}} ${count}\n`);
    return [
      `# HELP ${prefix}_calls_total Calls that have ended, by method and gRPC status.\n`,
      `# TYPE ${prefix}_calls_total counter\n`,
      ...ended,
      `# HELP ${prefix}_sessions Connections that are open.\n# TYPE ${prefix}_sessions gauge\n`,
      `${prefix}_sessions ${this.#sessions.size}\n`,
      `# HELP ${prefix}_streams Calls that stay open: quota streams and health watches.\n# TYPE ${prefix}_streams gauge\n`,
      `${prefix}_streams ${this.#conversations.size}\n`,
      `# HELP ${prefix}_refused_sessions_total Connections refused because there were too many.\n`,
      `# TYPE ${prefix}_refused_sessions_total counter\n${prefix}_refused_sessions_total ${this.#refusedSessions}\n`,
    ].join('');
  }

  #greet(session: ServerHttp2Session): void {
    if (this.#sessions.size >= this.#options.sessionsMax) {
      this.#refusedSessions += 1;
      session.destroy();
      return;
    }
    this.#sessions.add(session);
    session.on('close', () => this.#sessions.delete(session));
  }

  #accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const path = headers[':path']!;
    const method = this.#options.methods.get(path);
    // Paths that are not known share a label: a client must not make as many series as it likes.
    const call = new Call(stream, headers, this.#counter(method === undefined ? 'other' : path));
    const fault = faultIn(headers, method);
    if (fault !== undefined) refuse(call, fault);
    else if (method!.kind === 'unary') this.#receive(call, method as UnaryMethod);
    else this.#converse(call, method as StreamMethod);
  }

  #receive(call: Call, method: UnaryMethod): void {
    const { stream } = call;
    let frames: Frames | undefined;
    let message: Buffer | undefined;
    this.#receiving.add(call);
    stream.on('data', (chunk: Buffer) => {
      if (call.hasEnded) return;
      try {
        frames ??= new Frames(method.messageBytesMax);
        for (const each of frames.push(chunk)) {
          if (message !== undefined) throw new GrpcError(INTERNAL, 'a call has one message; there came another');
          message = each;
        }
      } catch (error) {
        this.#fail(call, error);
      }
    });
    stream.on('end', () => {
      this.#receiving.delete(call);
      if (call.hasEnded) return;
      try {
        if (message === undefined || frames!.isCut) throw new GrpcError(INTERNAL, 'the call ended before its message');
        method.handle(message, call);
      } catch (error) {
        this.#fail(call, error);
      }
    });
    stream.on('aborted', () => this.#gone(call));
  }

  #converse(call: Call, method: StreamMethod): void {
    const { stream } = call;
    const frames = new Frames(method.messageBytesMax);
    let conversation: Conversation | undefined;
    const attempt = (work: () => void) => {
      if (call.hasEnded) return;
      try {
        work();
      } catch (error) {
        this.#fail(call, error);
      }
    };
    attempt(() => {
      conversation = method.open(call);
    });
    if (conversation === undefined) return;
    const opened: Conversation = conversation;
    this.#conversations.add(opened);
    stream.on('data', (chunk: Buffer) =>
      attempt(() => {
        for (const message of frames.push(chunk)) if (!call.hasEnded) opened.message(message);
      }),
    );
    stream.on('end', () => attempt(() => opened.finished()));
    stream.on('close', () => {
      this.#conversations.delete(opened);
      opened.closed();
      call.abandon();
    });
    if (this.#isDraining) attempt(() => opened.drain());
  }

  #fail(call: Call, error: unknown): void {
    this.#receiving.delete(call);
    call.fail(toGrpcError(error));
  }

  #gone(call: Call): void {
    this.#receiving.delete(call);
    call.abandon();
  }

  #sweep(): void {
    const { bodyMs } = this.#options;
    const beganBeforeMs = performance.now() - bodyMs;
    for (const call of this.#receiving) {
      if (call.beganMs > beganBeforeMs) return;
      this.#fail(call, new GrpcError(DEADLINE_EXCEEDED, `the message did not come within ${bodyMs} ms`));
    }
  }

  #counter(path: string): (status: number) => void {
    const ended = this.#ended;
    return (status) => {
      const labels = `method="${path}",status="${statusName(status)}"`;
      ended.set(labels, (ended.get(labels) ?? 0) + 1);
    };
  }
}

/** A call that is not for us, by its headers. */
function faultIn(
  headers: IncomingHttpHeaders,
  method: Method | undefined,
): GrpcError | { httpStatus: number } | undefined {
  const type = headers['content-type'];
  if (headers[':method'] !== 'POST') return { httpStatus: 405 };
  if (type !== 'application/grpc' && !/^application\/grpc([+;]|$)/.test(type ?? '')) return { httpStatus: 415 };
  if (method === undefined) {
    return new GrpcError(UNIMPLEMENTED, `there is no method ${headers[':path']!.slice(0, 200)}`);
  }
  const encoding = headers['grpc-encoding'];
  if (encoding === undefined || encoding === 'identity') return undefined;
  return new GrpcError(
    UNIMPLEMENTED,
    `grpc-encoding is ${String(encoding).slice(0, 40)}; the one known here is identity`,
  );
}

function refuse(call: Call, fault: GrpcError | { httpStatus: number }): void {
  if (fault instanceof GrpcError) {
    call.fail(fault);
    return;
  }
  call.reject(fault.httpStatus);
}

/** The call may be sent again, to another server. */
export const STOPPING = new GrpcError(UNAVAILABLE, 'the server is stopping');
