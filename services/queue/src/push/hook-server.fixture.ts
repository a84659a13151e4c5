/** A receiver of webhooks on loopback that keeps what it got and answers as it is told. */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly atMs: number;
}

type Answer = (response: ServerResponse, received: Received, n: number) => void;

export class HookServer {
  readonly received: Received[] = [];
  /** Calls under way at the most at once. */
  most = 0;
  connections = 0;
  answer: Answer = (response) => response.end('{"ok":true}');
  #running = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer(async (request, response) => {
      this.#running += 1;
      this.most = Math.max(this.most, this.#running);
      response.on('close', () => {
        this.#running -= 1;
      });
      let body = '';
      for await (const piece of request.setEncoding('utf8')) body += piece;
      const received = { headers: request.headers, body, atMs: Date.now() };
      this.received.push(received);
      this.answer(response, received, this.received.length);
    });
    this.#server.on('connection', () => {
      this.connections += 1;
    });
  }

  async start(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  get keepAliveTimeoutMs(): number {
    return this.#server.keepAliveTimeout;
  }

  closeConnections(): void {
    this.#server.closeAllConnections();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
