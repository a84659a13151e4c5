/** The operations of the rate-limit service as its clients need them, asked once each: who asks decides about repeats. */
import { context, propagation } from '@opentelemetry/api';
import type { Endpoint } from '@plinth/client/endpoint';
import { endpointsOf } from '@plinth/client/endpoint';
import type { Transport } from '@plinth/client/transport';

const endpoint = endpointsOf('ratelimit');

const IDEMPOTENT = { idempotent: true };

/** Said again here since the contract loads zod; `limits-service.test.ts` keeps the two equal. */
export const limitsEndpoints = {
  check: endpoint('check', 'POST /v1/limits/check'),
  peek: endpoint('peek', 'POST /v1/limits/peek', IDEMPOTENT),
  refund: endpoint('refund', 'POST /v1/limits/refund'),
  reset: endpoint('reset', 'POST /v1/limits/reset', IDEMPOTENT),
  block: endpoint('block', 'POST /v1/limits/block', IDEMPOTENT),
  report: endpoint('report', 'POST /v1/limits/report'),
  acquire: endpoint('acquire', 'POST /v1/limits/acquire'),
  heartbeat: endpoint('heartbeat', 'POST /v1/limits/heartbeat', IDEMPOTENT),
  release: endpoint('release', 'POST /v1/limits/release', IDEMPOTENT),
  lease: endpoint('lease', 'POST /v1/limits/lease'),
  return: endpoint('return', 'POST /v1/limits/return'),
} as const;

export interface AskOptions {
  /** Until the attempt is given up; passed on to the service. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

const HEADERS = { 'content-type': 'application/json' };
const NOTHING = Object.freeze({});

export class LimitsService {
  readonly #transport: Transport;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(transport: Transport, headers: Readonly<Record<string, string>> = {}) {
    this.#transport = transport;
    this.#headers = { ...headers, ...HEADERS };
  }

  /** In the active trace: of a batch that is the one of who asked first. @throws As `Transport.send`. */
  async ask<Answer>(to: Endpoint, question: unknown, { timeoutMs, signal }: AskOptions): Promise<Answer> {
    const headers = { ...this.#headers };
    propagation.inject(context.active(), headers);
    const reply = await this.#transport.send({
      endpoint: to,
      params: NOTHING,
      query: NOTHING,
      headers,
      body: JSON.stringify(question),
      timeoutMs,
      signal,
    });
    const { body } = reply;
    if (body.byteLength === 0) return undefined as Answer;
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  }

  close(): Promise<void> {
    return this.#transport.close();
  }
}
