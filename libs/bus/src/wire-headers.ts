/**
 * Headers on the wire. Names are case-sensitive in NATS: we write ours as below and all others lower case, and read
 * every name as lower case, so that a hand-written `Traceparent` is understood.
 */
import type { Msg, MsgHdrs } from '@nats-io/transport-node';

export const PARAMS = 'Plinth-Params';
export const STATUS = 'Plinth-Status';
export const ERROR_CODE = 'Nats-Service-Error-Code';
export const ERROR_TEXT = 'Nats-Service-Error';
export const TIMEOUT_MS = 'request-timeout-ms';
export const REQUEST_ID = 'request-id';

const FORBIDDEN_IN_NAME = /[\r\n: ]/;
const FORBIDDEN_IN_VALUE = /[\r\n]/;

/**
 * Headers to send. nats.js asks of them nothing but `encode()`; its own take 1.8 µs for three headers, these 0.25 µs.
 *
 * @throws TypeError when a name or value would break the frame; a value from a user could otherwise forge a header.
 */
export function wireHeaders(headers: Readonly<Record<string, string | number>>): MsgHdrs {
  let text = 'NATS/1.0\r\n';
  for (const name in headers) {
    const value = String(headers[name]);
    if (FORBIDDEN_IN_NAME.test(name) || FORBIDDEN_IN_VALUE.test(value)) {
      throw new TypeError(`header ${JSON.stringify(name)} has a character that would break the message`);
    }
    text += `${name}: ${value}\r\n`;
  }
  const encoded = Buffer.from(`${text}\r\n`);
  return { encode: () => encoded } as unknown as MsgHdrs;
}

/** The headers of a message, names lower case; several of one name are joined as HTTP joins them. */
export function headersOf(message: Msg): Record<string, string> {
  const headers: Record<string, string> = {};
  if (message.headers === undefined) return headers;
  for (const [name, values] of message.headers) {
    const lower = name.toLowerCase();
    const value = values.length === 1 ? values[0]! : values.join(', ');
    headers[lower] = headers[lower] === undefined ? value : `${headers[lower]}, ${value}`;
  }
  return headers;
}

/** Bytes of headers and payload as `max_payload` counts them. */
export function sizeBytesOf(headers: MsgHdrs, payload: Uint8Array): number {
  return (headers as unknown as { encode(): Uint8Array }).encode().byteLength + payload.byteLength;
}

/**
 * A payload that may be kept. nats.js gives a view into a chunk of the socket, which stays as it is but keeps up to
 * 64 KiB alive for the sake of ten bytes; a view that fills less than half of its buffer is copied.
 */
export function ownedBytes(payload: Uint8Array): Uint8Array {
  // Not `slice()`: that of a Buffer does not copy.
  return payload.byteLength * 2 < payload.buffer.byteLength ? new Uint8Array(payload) : payload;
}
