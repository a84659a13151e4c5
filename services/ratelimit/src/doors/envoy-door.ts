/** The door for Envoy and whoever speaks its protocols: RLS, RLQS and health on one port, gRPC without TLS. */
import type { Decider } from './decider.ts';
import { Gatherer } from './gatherer.ts';
import { GrpcServer, type Method } from './grpc/grpc-server.ts';
import { healthMethods } from './grpc/health.ts';
import { QUOTA_SERVICE, QuotaService, STREAM_QUOTAS } from './rlqs/quota-service.ts';
import type { HeaderStyle } from './rls/headers.ts';
import { RATE_LIMIT_SERVICE, SHOULD_RATE_LIMIT, shouldRateLimit, type Verdicts } from './rls/should-rate-limit.ts';

export interface EnvoyDoorOptions {
  readonly decider: Decider;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Headers that Envoy is told to add to responses. Default `none`. */
  readonly headers?: HeaderStyle | undefined;
  /** Undefined when decisions can be made; health says it on. Default: always. */
  readonly notReady?: (() => string | undefined) | undefined;
  /** Connections at once. Default 1,024. */
  readonly sessionsMax?: number | undefined;
  /** Calls of one connection at once. Default 256. */
  readonly streamsMax?: number | undefined;
  /** How long a call may take to send its message. Default 10,000. */
  readonly bodyMs?: number | undefined;
  /** How long `stop` waits for open calls. Default 2,000. */
  readonly graceMs?: number | undefined;
  readonly quotas?: QuotaDoorOptions | undefined;
}

/** Of RLQS. */
export interface QuotaDoorOptions {
  /** How long an assignment counts without another. Default 15,000: three of the 5 s between reports of Envoy. */
  readonly ttlMs?: number | undefined;
  /** Buckets that one stream may report. Default 1,000. */
  readonly bucketsPerStreamMax?: number | undefined;
  /** A bucket without requests for so long is abandoned. Default 60,000. */
  readonly idleMs?: number | undefined;
  /** A bucket that no rule matches: not limited (default), or told to be forgotten. */
  readonly unknown?: 'allow' | 'abandon' | undefined;
  /** Replicas that share the limits, this one included: each gives away its part of a rate. Default 1. */
  readonly replicas?: (() => number) | undefined;
  /** Milliseconds of a clock that nobody sets. Default `performance.now`. */
  readonly nowMs?: (() => number) | undefined;
}

export class EnvoyDoor {
  readonly #server: GrpcServer;
  readonly #quotas: QuotaService;
  readonly #verdicts: Verdicts = { allowed: 0, denied: 0 };

  constructor(options: EnvoyDoorOptions) {
    const { decider, host, port, headers = 'none', notReady = () => undefined } = options;
    const { sessionsMax = 1_024, streamsMax = 256, bodyMs = 10_000, graceMs = 2_000 } = options;
    this.#quotas = quotaService(decider, options.quotas);
    const methods = new Map<string, Method>([
      [SHOULD_RATE_LIMIT, shouldRateLimit({ gatherer: new Gatherer(decider), headers, verdicts: this.#verdicts })],
      [STREAM_QUOTAS, this.#quotas.method()],
      ...healthMethods({
        services: [RATE_LIMIT_SERVICE, QUOTA_SERVICE],
        notReady: () => (this.#server.isDraining ? 'it stops' : notReady()),
      }),
    ]);
    this.#server = new GrpcServer({ host, port, methods, sessionsMax, streamsMax, bodyMs, graceMs });
  }

  /** @returns The port. */
  listen(): Promise<number> {
    return this.#server.listen();
  }

  /** Health says no, and clients are asked to go elsewhere; calls are still served. */
  drain(): void {
    this.#server.drain();
  }

  /** Finishes the calls that are open, then closes. */
  async stop(): Promise<void> {
    this.#quotas.stop();
    await this.#server.stop();
  }

  /** In Prometheus' text format. */
  metrics(): string {
    const { allowed, denied } = this.#verdicts;
    const name = 'plinth_ratelimit_rls_verdicts_total';
    return [
      this.#server.metrics('plinth_ratelimit_grpc'),
      this.#quotas.metrics('plinth_ratelimit_rlqs'),
      `# HELP ${name} Answers of ShouldRateLimit.\n# TYPE ${name} counter\n`,
      `${name}{code="OK"} ${allowed}\n${name}{code="OVER_LIMIT"} ${denied}\n`,
    ].join('');
  }
}

function quotaService(decider: Decider, options: QuotaDoorOptions = {}): QuotaService {
  const { ttlMs = 15_000, bucketsPerStreamMax = 1_000, idleMs = 60_000, unknown = 'allow' } = options;
  const { replicas = () => 1, nowMs = () => performance.now() } = options;
  return new QuotaService({ decider, ttlMs, bucketsPerStreamMax, idleMs, unknown, replicas, nowMs });
}
