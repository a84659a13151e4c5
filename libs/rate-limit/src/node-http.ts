/** Limits in front of a handler of `node:http` or `node:https`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Admission, type AdmissionOptions, type Admitted, type Permit } from './admission.ts';
import { dress, NodeIncoming, refuse, warnOf } from './node-request.ts';

export interface NodeHttpOptions extends AdmissionOptions<IncomingMessage> {
  /** Answers a denied request; its headers are set. Default: 429 or 503 as problem+json. */
  onLimited?: ((request: IncomingMessage, response: ServerResponse, permit: Permit) => void) | undefined;
  /** Something of the options threw. Default: 500 without a body, and a process warning. */
  onError?: ((error: unknown, request: IncomingMessage, response: ServerResponse) => void) | undefined;
}

export type LimitedHandler = (request: IncomingMessage, response: ServerResponse, permit: Permit) => void;

/** @throws RangeError for options that mean nothing. */
export function nodeHttp(options: NodeHttpOptions, handler: LimitedHandler) {
  const admission = new Admission(options);
  const { onLimited = (_, response, permit) => refuse(response, permit as Admitted), onError = fail } = options;
  const go = (request: IncomingMessage, response: ServerResponse, admitted: Admitted): void => {
    if (dress(response, admitted)) handler(request, response, admitted);
    else onLimited(request, response, admitted);
  };
  return (request: IncomingMessage, response: ServerResponse): void => {
    let admitted: Admitted | Promise<Admitted>;
    try {
      admitted = admission.admit(request, new NodeIncoming(request));
    } catch (error) {
      onError(error, request, response);
      return;
    }
    if (!(admitted instanceof Promise)) go(request, response, admitted);
    // What the handler throws is the program's own: as without us it ends up as an unhandled error, not in `onError`.
    else
      void admitted.then(
        (late) => process.nextTick(go, request, response, late),
        (error) => onError(error, request, response),
      );
  };
}

function fail(error: unknown, _request: IncomingMessage, response: ServerResponse): void {
  if (!response.headersSent) response.statusCode = 500;
  response.end();
  warnOf(error);
}
