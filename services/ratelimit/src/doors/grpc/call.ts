/** One call of gRPC on its HTTP/2 stream: its messages in and out, and how it ends. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { encodeMessage, GrpcError, INTERNAL, OK, RESOURCE_EXHAUSTED, STATUS_NAMES, UNIMPLEMENTED } from './status.ts';

/** Compressed flag and length, before each message. */
export const FRAME_HEAD_BYTES = 5;

// Objects that are sent as they are, again and again: node:http2 copies them.
const RESPONSE = { ':status': 200, 'content-type': 'application/grpc' };
// No date: it costs more than it tells.
const WITH_TRAILERS = { waitForTrailers: true, sendDate: false };
const OK_TRAILERS = { 'grpc-status': '0' };
const AT_ONCE = { endStream: true };

/** Fills in the head of a frame whose message follows it. */
export function frame(bytes: Buffer): Buffer {
  bytes[0] = 0;
  bytes.writeUInt32BE(bytes.length - FRAME_HEAD_BYTES, 1);
  return bytes;
}

function sendOkTrailers(this: ServerHttp2Stream): void {
  if (!this.destroyed && !this.closed) this.sendTrailers(OK_TRAILERS);
}

/** Called once for each call, when its status is known. */
export type OnEnd = (status: number) => void;

export class Call {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** Of `performance.now()`. */
  readonly beganMs = performance.now();
  readonly #onEnd: OnEnd;
  #hasEnded = false;
  #hasBegun = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, onEnd: OnEnd) {
    this.stream = stream;
    this.headers = headers;
    this.#onEnd = onEnd;
    stream.on('error', () => {});
  }

  /** Answered, failed, or gone. */
  get hasEnded(): boolean {
    return this.#hasEnded || this.stream.destroyed || this.stream.closed;
  }

  /** Answers a unary call and ends it with OK. `framed` comes from `frame`, and is not the caller's any more. */
  answer(framed: Buffer): void {
    if (!this.#end(OK)) return;
    this.stream.respond(RESPONSE, WITH_TRAILERS);
    this.stream.on('wantTrailers', sendOkTrailers);
    this.stream.end(framed);
  }

  /** Sends one of many messages. @returns How many bytes wait for the client to read them. */
  send(framed: Buffer): number {
    if (this.hasEnded) return 0;
    this.#begin();
    this.stream.write(framed);
    return this.stream.writableLength;
  }

  /** Ends a call that sent messages, with OK. */
  finish(): void {
    if (!this.#end(OK)) return;
    this.#begin();
    this.stream.on('wantTrailers', sendOkTrailers);
    this.stream.end();
  }

  /** Ends the call with an error; what was sent before stays sent. */
  fail({ code, message }: GrpcError): void {
    if (!this.#end(code)) return;
    const trailers = { 'grpc-status': String(code), 'grpc-message': encodeMessage(message) };
    const { stream } = this;
    if (this.#hasBegun) {
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end();
      return;
    }
    const encodings = code === UNIMPLEMENTED ? { 'grpc-accept-encoding': 'identity' } : undefined;
    stream.respond({ ...RESPONSE, ...trailers, ...encodings }, AT_ONCE);
    this.#deafen();
  }

  /** Answers what is no call of gRPC with a status of HTTP. */
  reject(httpStatus: number): void {
    if (!this.#end(INTERNAL)) return;
    const allow = httpStatus === 405 ? { allow: 'POST' } : undefined;
    this.stream.respond({ ':status': httpStatus, ...allow }, AT_ONCE);
    this.#deafen();
  }

  /** The client has gone away. */
  abandon(): void {
    this.#end(1);
  }

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.stream.respond(RESPONSE, WITH_TRAILERS);
  }

  /** The client may still be sending; nobody reads that any more. */
  #deafen(): void {
    this.stream.resume();
    if (!this.stream.readableEnded) this.stream.close(constants.NGHTTP2_NO_ERROR);
  }

  #end(status: number): boolean {
    if (this.#hasEnded) return false;
    const isGone = this.stream.destroyed || this.stream.closed;
    this.#hasEnded = true;
    this.#onEnd(isGone ? 1 : status);
    return !isGone;
  }
}

/** Cuts what arrives into messages. */
export class Frames {
  readonly #bytesMax: number;
  /** A message that has begun; undefined between messages, as nearly always: then one is a piece of its chunk. */
  #begun: Buffer | undefined;
  #size = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether a message has begun and not ended. */
  get isCut(): boolean {
    return this.#begun !== undefined;
  }

  /**
   * The messages that are whole now; they stay valid as long as the chunk does.
   *
   * @throws GrpcError when one is too large or compressed.
   */
  push(chunk: Buffer): Buffer[] {
    const bytes = this.#begun === undefined ? chunk : this.#append(this.#begun, chunk);
    const messages: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + this.#lengthAt(bytes, at);
      if (end > bytes.length) break;
      messages.push(bytes.subarray(at + FRAME_HEAD_BYTES, end));
      at = end;
    }
    if (at > 0 || this.#begun === undefined) this.#keep(bytes.subarray(at));
    return messages;
  }

  /** Copied, or a byte of it would keep the whole of what came from the network in memory. */
  #keep(rest: Buffer): void {
    this.#begun = rest.length === 0 ? undefined : Buffer.from(rest);
    this.#size = rest.length;
  }

  /** Grows by doubling: a message that comes byte by byte is not copied once for each of them. */
  #append(begun: Buffer, chunk: Buffer): Buffer {
    let room = begun;
    const size = this.#size + chunk.length;
    if (size > room.length) {
      room = Buffer.allocUnsafe(size * 2);
      begun.copy(room, 0, 0, this.#size);
    }
    chunk.copy(room, this.#size);
    this.#begun = room;
    this.#size = size;
    return room.subarray(0, size);
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const flag = bytes[at]!;
    if (flag > 1)
      throw new GrpcError(INTERNAL, `a message begins with the flag ${flag}; it is 0, or 1 when compressed`);
    if (flag === 1) throw new GrpcError(UNIMPLEMENTED, 'messages are not decompressed here; send them as they are');
    const length = bytes.readUInt32BE(at + 1);
    if (length <= this.#bytesMax) return length;
    throw new GrpcError(RESOURCE_EXHAUSTED, `the message is ${length} bytes; the most is ${this.#bytesMax}`);
  }
}

/** For metrics: `INVALID_ARGUMENT`. */
export function statusName(status: number): string {
  return STATUS_NAMES[status] ?? String(status);
}
