/**
 * A gRPC client for unary calls on one HTTP/2 connection without TLS. Small and lean, because on a small machine it
 * shares the processor with the server it drives; the same for all who are raced over gRPC.
 */
import { type ClientHttp2Session, connect } from 'node:http2';

const PREFIX_BYTES = 5;

/** The server said no; the message holds its status. */
export class GrpcFault extends Error {}

export class GrpcChannel {
  readonly #session: ClientHttp2Session;
  #broken: Error | undefined;

  /** @param address - `127.0.0.1:8081`. */
  constructor(address: string) {
    this.#session = connect(`http://${address}`);
    this.#session.on('error', (error) => {
      this.#broken = error;
    });
  }

  /**
   * @param path - `/package.Service/Method`.
   * @returns The answer's message.
   * @throws GrpcFault for any status but OK; Error when the connection breaks.
   */
  call(path: string, message: Buffer): Promise<Buffer> {
    return this.send(path, framed(message));
  }

  /** As `call`, with a message that is `framed` already. */
  send(path: string, frame: Buffer): Promise<Buffer> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    return new Promise((resolve, reject) => {
      let status: string | undefined;
      let reason = '';
      const chunks: Buffer[] = [];
      // An answer without a message carries its status in the only headers it has.
      const note = (headers: { [name: string]: string | string[] | number | undefined }) => {
        status = (headers['grpc-status'] as string | undefined) ?? status;
        reason = (headers['grpc-message'] as string | undefined) ?? reason;
      };
      stream.on('response', note).on('trailers', note).on('error', reject);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        if (status === '0') resolve(Buffer.concat(chunks).subarray(PREFIX_BYTES));
        else reject(new GrpcFault(`${path} ended with status ${status ?? 'none'}: ${decodeURIComponent(reason)}`));
      });
      stream.end(frame);
    });
  }

  close(): void {
    this.#session.destroy();
  }
}

/** A message with the prefix that tells its length. */
export function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
