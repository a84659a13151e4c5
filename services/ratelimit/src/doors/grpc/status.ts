/** How a call of gRPC ends: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
import { Problem } from '@plinth/problem';
import { Malformed } from './wire.ts';

export const OK = 0;
export const INVALID_ARGUMENT = 3;
export const DEADLINE_EXCEEDED = 4;
export const NOT_FOUND = 5;
export const RESOURCE_EXHAUSTED = 8;
export const UNIMPLEMENTED = 12;
export const INTERNAL = 13;
export const UNAVAILABLE = 14;

/** As metrics name them, by their numbers. */
export const STATUS_NAMES: Readonly<Record<number, string>> = {
  [OK]: 'OK',
  1: 'CANCELLED',
  [INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  [DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [NOT_FOUND]: 'NOT_FOUND',
  [RESOURCE_EXHAUSTED]: 'RESOURCE_EXHAUSTED',
  [UNIMPLEMENTED]: 'UNIMPLEMENTED',
  [INTERNAL]: 'INTERNAL',
  [UNAVAILABLE]: 'UNAVAILABLE',
};

/** A call that ends with another status than OK. */
export class GrpcError extends Error {
  override name = 'GrpcError';
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * What a thrown thing is to the caller. A message that is none and a check that is refused are the caller's mistake;
 * all else is UNAVAILABLE, because Envoy asks `failure_mode_deny` then, and passes traffic whatever it says on others.
 */
export function toGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (error instanceof Malformed) return new GrpcError(INVALID_ARGUMENT, error.message, { cause: error });
  if (error instanceof Problem && error.status < 500) {
    return new GrpcError(INVALID_ARGUMENT, error.message, { cause: error });
  }
  const text = error instanceof Problem ? error.message : 'the limiter failed';
  return new GrpcError(UNAVAILABLE, text, { cause: error });
}

/** Percent-encoded, as `grpc-message` is: visible ASCII and space stay as they are. */
export function encodeMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/gu, encodeURIComponent);
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout`; undefined without one, and for one that means nothing. */
export function timeoutMsOf(header: string | string[] | undefined): number | undefined {
  if (typeof header !== 'string') return undefined;
  const unitMs = UNIT_MS[header.at(-1)!];
  const digits = header.slice(0, -1);
  return unitMs !== undefined && /^\d{1,8}$/.test(digits) ? Number(digits) * unitMs : undefined;
}
