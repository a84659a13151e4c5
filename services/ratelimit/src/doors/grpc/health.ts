/** `grpc.health.v1.Health`: https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
import { type Call, FRAME_HEAD_BYTES, frame } from './call.ts';
import { type Conversation, type Method, STOPPING } from './grpc-server.ts';
import { GrpcError, NOT_FOUND } from './status.ts';
import { LENGTH, WireReader, WireWriter } from './wire.ts';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
const MESSAGE_BYTES_MAX = 1_024;
/** How late a watcher may hear of a change. */
const WATCH_MS = 250;

export interface HealthOptions {
  /** Names that can be asked for, beside the empty one. */
  readonly services: readonly string[];
  /** Undefined when it can serve, else why not. */
  notReady(): string | undefined;
}

/** The two methods, by path. */
export function healthMethods(options: HealthOptions): [path: string, Method][] {
  const known = new Set(['', ...options.services]);
  const reader = new WireReader();
  const statusOf = (service: string) =>
    !known.has(service) ? SERVICE_UNKNOWN : options.notReady() === undefined ? SERVING : NOT_SERVING;
  const messageBytesMax = MESSAGE_BYTES_MAX;
  return [
    [
      '/grpc.health.v1.Health/Check',
      {
        kind: 'unary',
        messageBytesMax,
        handle(message, call) {
          const service = serviceIn(message, reader);
          const status = statusOf(service);
          if (status === SERVICE_UNKNOWN) throw new GrpcError(NOT_FOUND, `there is no service ${service}`);
          call.answer(encodeStatus(status));
        },
      },
    ],
    [
      '/grpc.health.v1.Health/Watch',
      {
        kind: 'stream',
        messageBytesMax,
        open: (call) => new Watch(call, (message) => statusOf(serviceIn(message, reader))),
      },
    ],
  ];
}

/** Tells the status at once, and again whenever it has changed. */
class Watch implements Conversation {
  readonly #call: Call;
  readonly #statusFor: (message: Buffer) => number;
  #timer: NodeJS.Timeout | undefined;
  #told: number | undefined;

  constructor(call: Call, statusFor: (message: Buffer) => number) {
    this.#call = call;
    this.#statusFor = statusFor;
  }

  message(message: Buffer): void {
    if (this.#timer !== undefined) return;
    // Copied: what came from the network is not kept whole for these few bytes.
    const request = Buffer.from(message);
    this.#tell(request);
    this.#timer = setInterval(() => this.#tell(request), WATCH_MS).unref();
  }

  finished(): void {}

  closed(): void {
    clearInterval(this.#timer);
  }

  drain(): void {
    if (this.#told !== undefined && this.#told !== SERVICE_UNKNOWN) this.#call.send(encodeStatus(NOT_SERVING));
    this.#call.fail(STOPPING);
  }

  #tell(request: Buffer): void {
    const status = this.#statusFor(request);
    if (status === this.#told) return;
    this.#told = status;
    this.#call.send(encodeStatus(status));
  }
}

/** `HealthCheckRequest`: service = 1. */
function serviceIn(message: Buffer, reader: WireReader): string {
  let service = '';
  for (reader.open(message); reader.hasMore; ) {
    const tag = reader.tag();
    if (tag === 8 + LENGTH) service = reader.string('service', 256);
    else reader.skip(tag);
  }
  return service;
}

/** `HealthCheckResponse`: status = 1. */
function encodeStatus(status: number): Buffer {
  const writer = new WireWriter();
  writer.begin();
  writer.number(1, status);
  return frame(writer.take(FRAME_HEAD_BYTES));
}
