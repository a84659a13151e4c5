/** Limits as middleware of Express 4 and 5. */
import type { NextFunction, Request, Response } from 'express';
import { Admission, type AdmissionOptions, type Admitted, type Permit } from './admission.ts';
import { dress, NodeIncoming, refuse } from './node-request.ts';

export interface ExpressOptions extends AdmissionOptions<Request> {
  /** Answers a denied request, or calls `next` to let it in all the same; headers are set. Default: 429 or 503 as problem+json. */
  onLimited?: ((request: Request, response: Response, next: NextFunction, permit: Permit) => void) | undefined;
}

/** What the middleware adds to a request. */
export interface LimitedRequest {
  /** Of the limit that was looked at last. */
  rateLimit?: Permit;
}

/**
 * Goes in front of what it protects: `app.use('/api', express({ limiter, limit: 'api' }))`. Its address is found with
 * the proxies that `byAddress` is told, whatever Express' own `trust proxy` says. `next` is called in the same turn when
 * the limiter answers at once.
 *
 * @throws RangeError for options that mean nothing.
 */
export function express(options: ExpressOptions) {
  const admission = new Admission(options);
  const { onLimited = (_, response, __, permit) => refuse(response, permit as Admitted) } = options;
  const go = (request: Request, response: Response, next: NextFunction, admitted: Admitted): void => {
    (request as LimitedRequest).rateLimit = admitted;
    if (dress(response, admitted)) next();
    else onLimited(request, response, next, admitted);
  };
  return (request: Request, response: Response, next: NextFunction): void => {
    let admitted: Admitted | Promise<Admitted>;
    try {
      admitted = admission.admit(request, new NodeIncoming(request));
    } catch (error) {
      next(error);
      return;
    }
    if (!(admitted instanceof Promise)) go(request, response, next, admitted);
    else admitted.then((late) => go(request, response, next, late)).catch(next);
  };
}
