/** The SDK, set up. Imported only by `start.ts`, and only when there is somewhere to send spans to. */
import { randomUUID } from 'node:crypto';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchSpanProcessor, ConsoleSpanExporter, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import { currentGate, installGate } from './gate.ts';
import { admits, type SamplingRule, samplingRule, sdkSampler } from './head-sampler.ts';
import { traceContextPropagator } from './propagator.ts';
import { SpanBudget } from './span-budget.ts';
import type { SharedGate, StartOptions } from './start.ts';

/** What is left must be sent inside of a pod's grace period; a collector that hangs must not hold the exit up. */
const SHUTDOWN_MS_MAX = 2_000;

/** Sets the global provider, context manager and propagator, and hangs the gate on the provider. */
export async function startSdk(options: StartOptions): Promise<SharedGate> {
  const rule = samplingRule(options.env);
  const budget = new SpanBudget();
  const start = options.env.OTEL_FULL === '1' ? await fullSdk() : startLean;
  const exporter = await exporterOf(options.env);
  const quicker = currentGate();
  // Another service of this process set all up while the modules were loading.
  if (quicker !== undefined) return quicker as SharedGate;
  const spanProcessors = [budget, new BatchSpanProcessor({ exporter, ...batchSizes(options.env) })];
  const shutdownSdk = start({ resource: resourceOf(options), sampler: sdkSampler(rule), spanProcessors });
  const gate = gateOver(rule, budget, shutdownSdk);
  installGate(gate);
  return gate;
}

function gateOver(rule: SamplingRule, budget: SpanBudget, shutdownSdk: () => Promise<void>): SharedGate {
  return {
    tracer: trace.getTracer('@plinth/telemetry'),
    admits: (parent) => admits(rule, parent, Math.random),
    refusesOneMore: (traceId) => budget.refusesOneMore(traceId),
    holders: 0,
    async shutdown() {
      forgetGlobals();
      await Promise.race([shutdownSdk().catch(() => {}), sleep(SHUTDOWN_MS_MAX, undefined, { ref: false })]);
    },
  };
}

interface Parts {
  resource: Resource;
  sampler: ReturnType<typeof sdkSampler>;
  spanProcessors: (SpanBudget | BatchSpanProcessor)[];
}

/** Sets an SDK up from its parts and returns how to shut it down. */
type Start = (parts: Parts) => () => Promise<void>;

const startLean: Start = (parts) => {
  const provider = new TracerProvider(parts);
  if (!trace.setGlobalTracerProvider(provider)) throw new Error('another OpenTelemetry SDK is already at work here');
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(traceContextPropagator);
  return () => provider.shutdown();
};

async function fullSdk(): Promise<Start> {
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  return (parts) => {
    const sdk = new NodeSDK({ ...parts, autoDetectResources: false });
    sdk.start();
    return () => sdk.shutdown();
  };
}

/** So that the process can trace anew, as tests do. */
function forgetGlobals(): void {
  trace.disable();
  context.disable();
  propagation.disable();
}

/** What the environment says wins over what the service says of itself. */
function resourceOf({ service, version }: StartOptions): Resource {
  const own = resourceFromAttributes({
    'service.name': service,
    'service.namespace': 'plinth',
    'service.version': version,
    'service.instance.id': randomUUID(),
    'process.pid': process.pid,
    'process.executable.name': basename(process.execPath),
    'process.runtime.name': 'nodejs',
    'process.runtime.version': process.versions.node,
  });
  return defaultResource()
    .merge(own)
    .merge(detectResources({ detectors: [envDetector] }));
}

async function exporterOf(env: StartOptions['env']): Promise<SpanExporter> {
  const kind = env.OTEL_TRACES_EXPORTER || 'otlp';
  if (kind === 'console') return new ConsoleSpanExporter();
  if (kind !== 'otlp') throw new Error(`OTEL_TRACES_EXPORTER is "${kind}"; it must be otlp, console or none`);
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || 'http/protobuf';
  return otlpExporter(protocol, tracesUrl(env));
}

async function otlpExporter(protocol: string, url: string | undefined): Promise<SpanExporter> {
  if (protocol === 'http/protobuf') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
    return new OTLPTraceExporter({ url });
  }
  if (protocol === 'http/json') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
    return new OTLPTraceExporter({ url });
  }
  throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL is "${protocol}"; it must be http/protobuf or http/json`);
}

/** OTEL_BSP_*, which the SDK reads only for processors that it makes itself. @throws Error when one is no number. */
function batchSizes(env: StartOptions['env']) {
  const numberOf = (name: string): number | undefined => {
    const value = Number(env[name] || undefined);
    if (value >= 0) return value;
    if (env[name]) throw new Error(`${name} is "${env[name]}"; it must be a number from 0 up`);
    return undefined;
  };
  return {
    maxQueueSize: numberOf('OTEL_BSP_MAX_QUEUE_SIZE'),
    maxExportBatchSize: numberOf('OTEL_BSP_MAX_EXPORT_BATCH_SIZE'),
    scheduledDelayMillis: numberOf('OTEL_BSP_SCHEDULE_DELAY'),
    exportTimeoutMillis: numberOf('OTEL_BSP_EXPORT_TIMEOUT'),
  };
}

/** The specification's address for traces: the one given for them, else the one for all and `/v1/traces`. */
function tracesUrl(env: StartOptions['env']): string | undefined {
  if (env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  const base = env.OTEL_EXPORTER_OTLP_ENDPOINT;
  return base ? `${base.replace(/\/$/, '')}/v1/traces` : undefined;
}
