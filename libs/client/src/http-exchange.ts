/** One HTTP request and its answer: what ended it, and whether it had left us by then. */
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { grouped, type Problem } from '@plinth/problem';
import { noAnswer } from './problem-reply.ts';
import type { TransportReply, TransportRequest, TransportStream } from './transport.ts';

export class HttpExchange {
  readonly #outgoing: ClientRequest;
  readonly #request: TransportRequest;
  readonly #deadline: NodeJS.Timeout | undefined;
  /** From here on the service may have got it. */
  #wasSent = false;
  #failure: unknown;

  constructor(outgoing: ClientRequest, request: TransportRequest) {
    this.#outgoing = outgoing;
    this.#request = request;
    if (Number.isFinite(request.timeoutMs)) this.#deadline = setTimeout(this.#onDeadline, request.timeoutMs);
    request.signal?.addEventListener('abort', this.#onAbort, { once: true });
    outgoing.once('socket', (socket) => this.#noteSending(socket));
  }

  /** @throws Problem when no answer came, or the signal's reason. */
  wholeReply(): Promise<TransportReply> {
    return new Promise((resolve, reject) => {
      this.#sendBody((incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.once('end', () => {
          this.#settle();
          // Answered before the body was taken: nobody will take the rest.
          if (!this.#outgoing.writableEnded) this.#outgoing.destroy();
          const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
          resolve({ ...headOf(incoming), body });
        });
        incoming.once('error', (error) => reject(this.#endedBy(error)));
      }, reject);
    });
  }

  /** Resolves when the head of the answer is there; from then on there is no deadline. @throws As `wholeReply`. */
  stream(): Promise<TransportStream> {
    return new Promise((resolve, reject) => {
      this.#sendBody((incoming) => {
        clearTimeout(this.#deadline);
        resolve({ ...headOf(incoming), chunks: this.#chunksOf(incoming) });
      }, reject);
    });
  }

  /** Ends the exchange when nothing was sent or received for so many milliseconds. */
  limitSilence(ms: number): void {
    this.#outgoing.setTimeout(ms, () => this.#fail(this.#noAnswer('unavailable', `nothing was heard for ${ms} ms`)));
  }

  #sendBody(receive: (incoming: IncomingMessage) => void, reject: (error: unknown) => void): void {
    const { body } = this.#request;
    this.#outgoing.once('response', receive);
    // Not `once`: an error after the answer, when the service closed early on a large body, must find a listener too.
    this.#outgoing.on('error', (error) => reject(this.#endedBy(error)));
    if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) this.#outgoing.end(body);
    else this.#pump(body).catch((error) => this.#fail(error));
  }

  /** Not `pipeline`, which waits for the answer before it says that the iterable threw. */
  async #pump(body: AsyncIterable<Uint8Array>): Promise<void> {
    const outgoing = this.#outgoing;
    const closed = new AbortController();
    outgoing.once('close', () => closed.abort());
    for await (const chunk of body) {
      if (outgoing.destroyed) return;
      if (!outgoing.write(chunk)) await once(outgoing, 'drain', { signal: closed.signal }).catch(() => {});
    }
    outgoing.end();
  }

  async *#chunksOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array> {
    try {
      yield* incoming;
    } catch (error) {
      throw this.#endedBy(error as Error);
    } finally {
      this.#settle();
      this.#outgoing.destroy();
    }
  }

  /** A new connection takes nothing before it stands; one that was kept may take it at once. */
  #noteSending(socket: Socket): void {
    const sent = () => {
      this.#wasSent = true;
    };
    if (!socket.connecting) sent();
    else socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', sent);
  }

  readonly #onDeadline = (): void => {
    const { endpoint, timeoutMs } = this.#request;
    const detail = `no answer to ${endpoint.name} within ${grouped(Math.round(timeoutMs))} ms`;
    this.#fail(this.#noAnswer('deadline_exceeded', detail));
  };

  readonly #onAbort = (): void => this.#fail(this.#request.signal!.reason);

  #fail(reason: unknown): void {
    this.#failure ??= reason;
    this.#outgoing.destroy(reason instanceof Error ? reason : new Error('aborted'));
  }

  /** What to throw: our own reason to end it, or what became of the connection. */
  #endedBy(error: Error & { code?: string }): unknown {
    this.#settle();
    if (this.#failure !== undefined) return this.#failure;
    const what = this.#wasSent ? 'the connection was lost before the answer' : 'there is no connection';
    return this.#noAnswer('unavailable', `${what}: ${error.code ?? error.message}`, error);
  }

  #noAnswer(code: 'unavailable' | 'deadline_exceeded', detail: string, cause?: unknown): Problem {
    return noAnswer(this.#request.endpoint, { code, detail, wasSent: this.#wasSent, cause });
  }

  #settle(): void {
    clearTimeout(this.#deadline);
    this.#request.signal?.removeEventListener('abort', this.#onAbort);
  }
}

function headOf({ statusCode, headers }: IncomingMessage): Omit<TransportReply, 'body'> {
  // Of the headers only `set-cookie` comes as an array, and no operation has it.
  return { status: statusCode!, headers: headers as Record<string, string> };
}
