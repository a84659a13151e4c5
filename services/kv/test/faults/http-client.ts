/** HTTP over connections that are kept alive, which says of every request whether it was answered. */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** 0: it has none. */
  revision: number;
  /** The service wants no further request on this connection. */
  closes: boolean;
}

export interface Sending {
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

/** The connection broke before the answer was whole. */
export class Unanswered extends Error {
  override name = 'Unanswered';
  /** True: there was no connection, so the request was never sent. */
  readonly wasNeverSent: boolean;

  constructor(cause: Error) {
    super(cause.message, { cause });
    this.wasNeverSent = (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  }
}

export class HttpClient {
  readonly port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(port: number) {
    this.port = port;
  }

  /** @throws Unanswered */
  async send(method: string, path: string, sending: Sending = {}): Promise<Answer> {
    try {
      const reply = await this.open(method, path, sending);
      const chunks: Buffer[] = [];
      for await (const chunk of reply) chunks.push(chunk as Buffer);
      if (!reply.complete) throw new Error('the answer was cut off');
      const { statusCode: status = 0, headers } = reply;
      const revision = Number(headers['kv-revision'] ?? 0);
      return { status, headers, body: Buffer.concat(chunks), revision, closes: headers.connection === 'close' };
    } catch (error) {
      throw new Unanswered(error as Error);
    }
  }

  sendJson(method: string, path: string, value: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const body = JSON.stringify(value);
    return this.send(method, path, { headers: { 'content-type': 'application/json', ...headers }, body });
  }

  /** Resolves with the head of the answer; its body is yet to be read. */
  open(method: string, path: string, { headers = {}, body }: Sending = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = { port: this.port, host: '127.0.0.1', agent: this.#agent, method, path };
      const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
      const sent = request({ ...options, headers: { ...headers, ...length } }, resolve);
      sent.on('error', reject);
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

export const jsonOf = <T>({ body }: Answer): T => JSON.parse(body.toString('utf8')) as T;
