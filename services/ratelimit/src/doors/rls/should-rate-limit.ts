/** `RateLimitService/ShouldRateLimit`: decodes, asks, encodes. */
import { endSpan, forwarded, serverSpan, type Traced } from '@plinth/telemetry';
import type { Verdict } from '../../core/verdict.ts';
import type { Asked, Gatherer } from '../gatherer.ts';
import type { Call } from '../grpc/call.ts';
import type { UnaryMethod } from '../grpc/grpc-server.ts';
import { DEADLINE_EXCEEDED, GrpcError, timeoutMsOf, toGrpcError, UNAVAILABLE } from '../grpc/status.ts';
import type { HeaderStyle } from './headers.ts';
import { RequestDecoder, ResponseEncoder } from './rls-codec.ts';

export const RATE_LIMIT_SERVICE = 'envoy.service.ratelimit.v3.RateLimitService';
export const SHOULD_RATE_LIMIT = `/${RATE_LIMIT_SERVICE}/ShouldRateLimit`;

/** A request of more is none of Envoy's: 32 descriptors of 16 entries can be larger, yet nobody sends that. */
const MESSAGE_BYTES_MAX = 65_536;
/** Of the caller's time, what a decision may take; the rest is for the way back. */
const SHARE_OF_DEADLINE = 0.8;

const SPAN_NAME = SHOULD_RATE_LIMIT.slice(1);
const SPAN_ATTRIBUTES = { 'rpc.system': 'grpc', 'rpc.service': RATE_LIMIT_SERVICE, 'rpc.method': 'ShouldRateLimit' };

export interface Verdicts {
  allowed: number;
  denied: number;
}

export interface ShouldRateLimitOptions {
  readonly gatherer: Gatherer;
  readonly headers: HeaderStyle;
  /** Counted on. */
  readonly verdicts: Verdicts;
}

/** The method, for `GrpcServer`. */
export function shouldRateLimit({ gatherer, headers, verdicts }: ShouldRateLimitOptions): UnaryMethod {
  const decoder = new RequestDecoder();
  const encoder = new ResponseEncoder(headers);
  return {
    kind: 'unary',
    messageBytesMax: MESSAGE_BYTES_MAX,
    handle(message, call) {
      // Decoded before a span begins: a message that is none counts nothing and costs little.
      const check = decoder.decode(message);
      const question = new Question(call, { check, encoder, verdicts });
      if (!question.hasAnswer) gatherer.ask(question);
      if (!question.hasAnswer) question.waits();
    },
  };
}

interface Context {
  readonly check: Asked['check'];
  readonly encoder: ResponseEncoder;
  readonly verdicts: Verdicts;
}

/** One call on its way to the engine and back. */
class Question implements Asked {
  readonly check: Asked['check'];
  readonly deadlineMs: number | undefined;
  readonly trace: unknown;
  readonly #call: Call;
  readonly #context: Context;
  readonly #traced: Traced | undefined;
  #timer: NodeJS.Timeout | undefined;
  hasAnswer = false;

  constructor(call: Call, context: Context) {
    this.check = context.check;
    this.#call = call;
    this.#context = context;
    this.#traced = serverSpan(call.headers, SPAN_NAME, SPAN_ATTRIBUTES);
    this.trace = this.#traced?.context ?? forwarded(call.headers);
    const leftMs = this.#leftMs();
    if (leftMs === undefined) return;
    if (leftMs <= 0) this.#expire();
    this.deadlineMs = leftMs * SHARE_OF_DEADLINE;
  }

  answered(verdict: Verdict): void {
    if (this.hasAnswer) return;
    if (verdict.degraded === 'closed') {
      this.failed(new GrpcError(UNAVAILABLE, 'the store is away, and the rule says to deny then'));
      return;
    }
    this.hasAnswer = true;
    if (verdict.isAllowed) this.#context.verdicts.allowed += 1;
    else this.#context.verdicts.denied += 1;
    this.#call.answer(this.#context.encoder.encode(verdict));
    if (this.#traced !== undefined) endSpan(this.#traced.span);
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  failed(error: unknown): void {
    if (this.hasAnswer) return;
    this.hasAnswer = true;
    const failure = toGrpcError(error);
    this.#call.fail(failure);
    endSpan(this.#traced?.span, failure);
    clearTimeout(this.#timer);
  }

  /** The answer is waited for: not longer than the caller does. */
  waits(): void {
    const leftMs = this.#leftMs();
    if (leftMs !== undefined) this.#timer = setTimeout(() => this.#expire(), leftMs);
  }

  #leftMs(): number | undefined {
    const timeoutMs = timeoutMsOf(this.#call.headers['grpc-timeout']);
    return timeoutMs === undefined ? undefined : timeoutMs - (performance.now() - this.#call.beganMs);
  }

  #expire(): void {
    this.failed(new GrpcError(DEADLINE_EXCEEDED, 'not decided in the time that grpc-timeout gives'));
  }
}
