/**
 * Limits for servers of WebSockets like `ws`: how often somebody connects, and how much comes over one connection.
 *
 * Messages stay in their order: those that arrive while one is decided wait behind it, and the socket is paused.
 */
import type { IncomingMessage } from 'node:http';
import type { CheckAnswer, PolicySpec } from '@plinth/contracts/ratelimit';
import { PROBLEM_MEDIA_TYPE } from '@plinth/problem';
import { Admission, type AdmissionOptions } from './admission.ts';
import type { LimitKey } from './check-form.ts';
import { limitProblem } from './limit-problem.ts';
import { NodeIncoming, warnOf } from './node-request.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { atItsTurn } from './turn.ts';

/** The part of a `ws` socket that is used. */
export interface WebSocketLike {
  on(event: 'message', listener: (data: unknown, isBinary: boolean) => void): unknown;
  close(code?: number, reason?: string): void;
  pause?(): void;
  resume?(): void;
  readonly readyState: number;
}

export interface MessageOptions<Socket> {
  limiter: RateLimiter;
  /** The name of a rule, or a limit. */
  limit: string | PolicySpec;
  /** What messages are limited by. Default: each connection by itself. */
  key?: ((socket: Socket, request: IncomingMessage) => LimitKey) | undefined;
  /** Units of a message, say its kilobytes. Default 1. */
  cost?: ((data: unknown, isBinary: boolean) => number) | undefined;
  /** A message was denied and is dropped. Default: closes with 1008. */
  onLimited?: ((socket: Socket, answer: CheckAnswer, data: unknown) => void) | undefined;
}

export interface WebSocketOptions<Socket> {
  /** Denied before the connection is made, with 429. */
  connects?: AdmissionOptions<IncomingMessage> | undefined;
  messages?: MessageOptions<Socket> | undefined;
}

/** As `ws` calls it with two parameters. */
export type VerifyClient = (
  info: { req: IncomingMessage },
  done: (isAllowed: boolean, status?: number, message?: string, headers?: Record<string, string>) => void,
) => void;

/** Of `never`, so that one may say what it expects: what `ws` hands over depends on `binaryType`. */
type Receive = (data: never, isBinary: boolean) => void;

/** RFC 6455 §7.4.1: policy violation. */
const POLICY_VIOLATION = 1008;
const IS_OPEN = 1;

/**
 * `new WebSocketServer({ verifyClient: guard.verifyClient })`, then `server.on('connection', guard.connection(open))`,
 * where `open(socket, request)` gives back what is called with each message that is let in.
 *
 * @throws RangeError for options that mean nothing.
 */
export function webSocket<Socket extends WebSocketLike>({ connects, messages }: WebSocketOptions<Socket>) {
  const admission = connects && new Admission(connects);
  let connections = 0;
  return {
    verifyClient: ((info, done) => {
      if (admission === undefined) done(true);
      else void verify(admission, info.req, done);
    }) satisfies VerifyClient,

    connection(open: (socket: Socket, request: IncomingMessage) => Receive) {
      return (socket: Socket, request: IncomingMessage): void => {
        const receive = open(socket, request);
        if (messages === undefined) socket.on('message', receive as (data: unknown, isBinary: boolean) => void);
        else {
          const key = messages.key?.(socket, request) ?? ['connection', ID, String(++connections)];
          const gate = new MessageGate(socket, messages, { key, receive });
          socket.on('message', (data, isBinary) => gate.arrived(data, isBinary));
        }
      };
    },
  };
}

/** Tells connections of this process from those of others. */
const ID = crypto.randomUUID();

async function verify(
  admission: Admission<IncomingMessage>,
  request: IncomingMessage,
  done: Parameters<VerifyClient>[1],
): Promise<void> {
  try {
    const { answer, headers } = await admission.admit(request, new NodeIncoming(request));
    if (answer.allowed) return done(true);
    const problem = limitProblem(answer);
    // Spelled as `ws` spells its own, or both would be sent.
    const sent = { ...headers, ...problem.toHeaders(), 'Content-Type': PROBLEM_MEDIA_TYPE };
    done(false, problem.status, JSON.stringify(problem.toBody()), sent);
  } catch (error) {
    warnOf(error);
    done(false, 500, 'Internal Server Error');
  }
}

type Message = readonly [data: unknown, isBinary: boolean];

class MessageGate<Socket extends WebSocketLike> {
  readonly #socket: Socket;
  readonly #options: MessageOptions<Socket>;
  readonly #key: LimitKey;
  readonly #receive: Receive;
  /** Behind the one that is being decided. Bounded by what one read from the socket brings, for it is paused. */
  readonly #waiting: Message[] = [];
  #isDeciding = false;

  constructor(socket: Socket, options: MessageOptions<Socket>, { key, receive }: { key: LimitKey; receive: Receive }) {
    this.#socket = socket;
    this.#options = options;
    this.#key = key;
    this.#receive = receive;
  }

  arrived(...message: Message): void {
    if (this.#isDeciding) this.#waiting.push(message);
    else this.#decide(message);
  }

  #decide(message: Message): void {
    const { limiter, limit, cost } = this.#options;
    const answer = atItsTurn(limiter.take(limit, this.#key, cost?.(...message) ?? 1));
    if (!(answer instanceof Promise)) this.#decided(message, answer);
    else void this.#decideLater(message, answer);
  }

  async #decideLater(message: Message, answer: Promise<CheckAnswer>): Promise<void> {
    this.#isDeciding = true;
    this.#socket.pause?.();
    // The service refuses the question itself, which is not the caller's fault.
    const told = await answer.catch((): CheckAnswer => ({ allowed: true, limits: [], degraded: 'open' }));
    this.#isDeciding = false;
    this.#decided(message, told);
    while (this.#waiting.length > 0 && !this.#isDeciding) this.#decide(this.#waiting.shift()!);
    if (!this.#isDeciding) this.#socket.resume?.();
  }

  #decided(message: Message, answer: CheckAnswer): void {
    // Closed by a denial before it: what came behind is not looked at.
    if (this.#socket.readyState !== IS_OPEN) return;
    if (answer.allowed) this.#receive(message[0] as never, message[1]);
    else (this.#options.onLimited ?? closeSocket)(this.#socket, answer, message[0]);
  }
}

/** A reason has 123 bytes at most, so it is only said how long to wait. */
function closeSocket(socket: WebSocketLike, answer: CheckAnswer): void {
  const { retryAfterMs } = limitProblem(answer);
  const wait = retryAfterMs === undefined ? '' : `; more in ${retryAfterMs} ms`;
  socket.close(POLICY_VIOLATION, `too many messages${wait}`);
}
