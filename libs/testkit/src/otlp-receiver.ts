/** A small real OTLP/HTTP receiver: collects the spans that code under test exports, as protobuf or JSON. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { onFileEnd } from './cleanup.ts';
import { eventually } from './eventually.ts';
import { decodeTraceRequest, type OtlpMessage } from './otlp-protobuf.ts';

type AttributeValue = string | number | boolean | AttributeValue[];
type Attributes = Record<string, AttributeValue>;

/** A span as a test wants to read it. */
export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  /** Undefined for a root span. */
  parentSpanId: string | undefined;
  name: string;
  kind: 'unspecified' | 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  startTimeUnixNano: bigint;
  endTimeUnixNano: bigint;
  attributes: Attributes;
  events: { name: string; attributes: Attributes }[];
  links: { traceId: string; spanId: string; attributes: Attributes }[];
  status: { code: 'unset' | 'ok' | 'error'; message: string };
  /** `service.name` and the like. */
  resource: Attributes;
  scope: string;
}

/** A receiver that listens. */
export interface OtlpReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** Everything received so far, in order of arrival. */
  readonly spans: ReceivedSpan[];
  /** Waits until a span satisfies the question. Throws with the names of all spans after `timeoutMs`. */
  waitForSpan(question: (span: ReceivedSpan) => boolean, timeoutMs?: number): Promise<ReceivedSpan>;
  /** Forgets what came so far. */
  clear(): void;
  stop(): Promise<void>;
}

/** Starts a receiver on a free port of loopback. It stops after this test file. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const server = createServer((request, response) => {
    void receive({ request, response, spans });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onFileEnd(stop);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    waitForSpan: (question, timeoutMs = 5_000) => waitForSpan({ spans, question, timeoutMs }),
    clear: () => {
      spans.length = 0;
    },
    stop,
  };
}

async function receive(call: {
  request: IncomingMessage;
  response: ServerResponse;
  spans: ReceivedSpan[];
}): Promise<void> {
  const { request, response, spans } = call;
  if (request.method !== 'POST' || request.url !== '/v1/traces') return void response.writeHead(404).end();
  try {
    const isJson = request.headers['content-type']?.startsWith('application/json') ?? false;
    const body = await buffer(request);
    const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    spans.push(...spansOf(isJson ? (JSON.parse(plain.toString()) as OtlpMessage) : decodeTraceRequest(plain)));
    const type = isJson ? 'application/json' : 'application/x-protobuf';
    // An empty protobuf message is no bytes at all.
    response.writeHead(200, { 'content-type': type }).end(isJson ? '{}' : '');
  } catch (error) {
    response.writeHead(400).end(String(error));
  }
}

async function waitForSpan(wait: {
  spans: ReceivedSpan[];
  question: (span: ReceivedSpan) => boolean;
  timeoutMs: number;
}): Promise<ReceivedSpan> {
  const { spans, question, timeoutMs } = wait;
  try {
    return await eventually(() => spans.find(question) ?? false, { timeoutMs });
  } catch {
    throw new Error(
      `no such span within ${timeoutMs} ms; received: ${spans.map((span) => span.name).join(', ') || 'none'}`,
    );
  }
}

function spansOf(request: OtlpMessage): ReceivedSpan[] {
  return messages(request.resourceSpans).flatMap((resourceSpans) => {
    const resource = attributesOf(message(resourceSpans.resource));
    return messages(resourceSpans.scopeSpans).flatMap((scopeSpans) => {
      const scope = text(message(scopeSpans.scope).name);
      return messages(scopeSpans.spans).map((span) => spanOf(span, { resource, scope }));
    });
  });
}

const KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const;
const STATUS_CODES = ['unset', 'ok', 'error'] as const;

function spanOf(span: OtlpMessage, origin: { resource: Attributes; scope: string }): ReceivedSpan {
  const status = message(span.status);
  return {
    traceId: text(span.traceId),
    spanId: text(span.spanId),
    parentSpanId: text(span.parentSpanId) || undefined,
    name: text(span.name),
    kind: KINDS[Number(span.kind ?? 0)] ?? 'unspecified',
    startTimeUnixNano: BigInt(text(span.startTimeUnixNano) || 0),
    endTimeUnixNano: BigInt(text(span.endTimeUnixNano) || 0),
    attributes: attributesOf(span),
    events: messages(span.events).map((event) => ({ name: text(event.name), attributes: attributesOf(event) })),
    links: messages(span.links).map((link) => ({
      traceId: text(link.traceId),
      spanId: text(link.spanId),
      attributes: attributesOf(link),
    })),
    status: { code: STATUS_CODES[Number(status.code ?? 0)] ?? 'unset', message: text(status.message) },
    ...origin,
  };
}

function attributesOf(holder: OtlpMessage): Attributes {
  return Object.fromEntries(
    messages(holder.attributes).map(({ key, value }) => [text(key), anyValueOf(message(value))]),
  );
}

function anyValueOf(value: OtlpMessage): AttributeValue {
  if (value.arrayValue !== undefined) return messages(message(value.arrayValue).values).map(anyValueOf);
  // JSON carries 64-bit integers as text.
  if (value.intValue !== undefined) return Number(value.intValue);
  return (value.stringValue ?? value.boolValue ?? value.doubleValue ?? value.bytesValue ?? '') as AttributeValue;
}

const message = (value: unknown): OtlpMessage => (value ?? {}) as OtlpMessage;
const messages = (value: unknown): OtlpMessage[] => (value ?? []) as OtlpMessage[];
const text = (value: unknown): string => String(value ?? '');
