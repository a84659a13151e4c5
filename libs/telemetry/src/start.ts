/**
 * Whether to trace, by the standard variables; README.md lists them.
 *
 * Measured on Node 24.18 (median of 5): `@opentelemetry/api` alone adds nothing to speak of; the lean set (sdk-trace,
 * exporter-trace-otlp-proto, context-async-hooks, resources) adds 22 MiB of RSS, 105 ms of CPU and 85 ms of start;
 * sdk-node, which loads every exporter and gRPC, adds 33 MiB, 220 ms and 170 ms. So the lean set is what is loaded,
 * `OTEL_FULL=1` asks for sdk-node (metrics and logs by its own variables), and without an exporter neither is.
 */
import { currentGate, type Gate } from './gate.ts';
import { samplingRule } from './head-sampler.ts';

export interface StartOptions {
  /** `service.name`: `kv`. */
  service: string;
  version: string;
  /** The process environment. What configures the exporter alone (headers, timeout, compression, TLS) it reads itself. */
  env: Readonly<Record<string, string | undefined>>;
}

export interface Telemetry {
  /** Sends what is left, for at most 2 seconds, and makes tracing stop once the last service here has stopped. */
  stop(): Promise<void>;
}

/** A gate that several services in one process may hold. */
export interface SharedGate extends Gate {
  holders: number;
  shutdown(): Promise<void>;
}

/**
 * Starts tracing if the environment names an exporter; else loads nothing and resolves at once.
 *
 * The first service in a process names the resource; a second one joins it.
 * @throws Error when a variable has a value that means nothing.
 */
export async function startTelemetry(options: StartOptions): Promise<Telemetry> {
  if (!isConfigured(options.env)) return { stop: async () => {} };
  const gate = (currentGate() as SharedGate | undefined) ?? (await (await import('./sdk.ts')).startSdk(options));
  gate.holders++;
  let isStopped = false;
  return {
    async stop() {
      if (isStopped) return;
      isStopped = true;
      if (--gate.holders === 0) await gate.shutdown();
    },
  };
}

/** Whether spans would go anywhere: an exporter is named, the SDK is not disabled, and sampling keeps something. */
export function isConfigured(env: StartOptions['env']): boolean {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return false;
  const exporter =
    env.OTEL_TRACES_EXPORTER || env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  if (!exporter) return false;
  const { followsParent, ratio } = samplingRule(env);
  return followsParent || ratio > 0;
}
