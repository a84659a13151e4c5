/** Requests of `node:http`, of which those of Express are a kind. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PROBLEM_MEDIA_TYPE } from '@plinth/problem';
import type { Admitted } from './admission.ts';
import { limitProblem } from './limit-problem.ts';
import type { Incoming } from './request-key.ts';

export class NodeIncoming implements Incoming {
  readonly #request: IncomingMessage;

  constructor(request: IncomingMessage) {
    this.#request = request;
  }

  get peer(): string | undefined {
    return this.#request.socket.remoteAddress;
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }
}

/** Has the answer carry its headers and tell the permit how it went. False: the request is denied. */
export function dress(response: ServerResponse, admitted: Admitted): boolean {
  if (!response.headersSent) for (const name in admitted.headers) response.setHeader(name, admitted.headers[name]!);
  if (!admitted.answer.allowed) return false;
  // An answer that its caller did not wait for counts: else leaving early would be a way to guess without end.
  const { answered } = admitted;
  if (answered !== undefined) response.once('finish', () => answered(response.statusCode));
  return true;
}

/** 429 or 503 as problem+json. */
export function refuse(response: ServerResponse, { answer }: Admitted): void {
  if (response.headersSent || response.destroyed) return;
  const problem = limitProblem(answer);
  const body = JSON.stringify(problem.toBody());
  response.statusCode = problem.status;
  // Draft-10's own header is there already, and the problem's is the same.
  for (const [name, value] of Object.entries(problem.toHeaders())) response.setHeader(name, value);
  response.setHeader('content-type', PROBLEM_MEDIA_TYPE);
  response.setHeader('content-length', Buffer.byteLength(body));
  response.end(response.req?.method === 'HEAD' ? undefined : body);
}

/** A fault of the program, where there is nobody to hand it to. */
export function warnOf(error: unknown): void {
  process.emitWarning(String((error as Error | undefined)?.stack ?? error), 'RateLimitWarning');
}
