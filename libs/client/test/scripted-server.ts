/** A real HTTP server that does what a test says, request after request: also what no good server would. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: Buffer;
}

export type Step = (response: ServerResponse, request: SeenRequest) => void | Promise<void>;

export class ScriptedServer {
  readonly requests: SeenRequest[] = [];
  readonly #steps: Step[] = [];
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  static async start(port = 0): Promise<ScriptedServer> {
    const scripted = new ScriptedServer();
    await new Promise<void>((resolve) => scripted.#server.listen(port, '127.0.0.1', resolve));
    return scripted;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What to do with the next requests, in order; the last step is done for ever. */
  script(...steps: Step[]): void {
    this.#steps.splice(0, Infinity, ...steps);
    this.requests.length = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    for await (const chunk of request) chunks.push(chunk);
    const headers = request.headers as Record<string, string>;
    const seen = { method, url, headers, body: Buffer.concat(chunks) };
    this.requests.push(seen);
    const step = this.#steps.length > 1 ? this.#steps.shift()! : this.#steps[0]!;
    await step(response, seen);
  }
}

// ---------------------------------------------------------------- steps

export const answer =
  (status: number, headers: Record<string, string> = {}, body: string | Buffer = ''): Step =>
  (response) => {
    response.writeHead(status, headers).end(body);
  };

export const problem = (status: number, code: string, headers: Record<string, string> = {}): Step =>
  answer(
    status,
    { 'content-type': 'application/problem+json', ...headers },
    JSON.stringify({ code, detail: `it is ${code}` }),
  );

/** The connection breaks before a byte of the answer. */
export const reset: Step = (response) => {
  response.socket!.resetAndDestroy();
};

/** It breaks in the middle of the answer. */
export const resetAmid =
  (headers: Record<string, string>, part: string): Step =>
  (response) => {
    response.writeHead(200, headers);
    response.write(part, () => setTimeout(() => response.socket?.resetAndDestroy(), 10));
  };

/** It is never answered. */
export const silence: Step = () => {};

/** Lines of NDJSON; then it ends well, breaks, or stays open. */
export const ndjson =
  (lines: unknown[], { ending, revision = 0 }: { ending: 'end' | 'reset' | 'stay'; revision?: number }): Step =>
  (response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'kv-revision': String(revision) });
    response.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''), () => {
      if (ending === 'end') response.end();
      if (ending === 'reset') setTimeout(() => response.socket?.resetAndDestroy(), 10);
    });
    response.flushHeaders();
  };
