/** Limits in front of a handler of WHATWG requests: `fetch(request) → Response`, as in Deno, Bun, workers and Hono. */
import { PROBLEM_MEDIA_TYPE } from '@plinth/problem';
import { Admission, type AdmissionOptions, type Admitted, type Permit } from './admission.ts';
import { limitProblem } from './limit-problem.ts';
import type { Incoming } from './request-key.ts';

export interface FetchHandlerOptions<Rest extends readonly unknown[]> extends AdmissionOptions<Request> {
  /**
   * The address that a request came from, which a `Request` does not know; runtimes hand it over beside it. Needed
   * unless `key` finds something else.
   */
  peer?: ((request: Request, ...rest: Rest) => string | undefined) | undefined;
  /** The answer to a denied request; headers are added. Default: 429 or 503 as problem+json. */
  onLimited?: ((request: Request, permit: Permit) => Response | Promise<Response>) | undefined;
}

/** @throws RangeError for options that mean nothing, and without `peer` and `key`. */
export function fetchHandler<Rest extends readonly unknown[]>(
  options: FetchHandlerOptions<Rest>,
  handler: (request: Request, permit: Permit, ...rest: Rest) => Response | Promise<Response>,
) {
  const { peer, key, onLimited = refusal } = options;
  if (peer === undefined && key === undefined) {
    throw new RangeError('a Request does not know its address: say where it is found with `peer`, or limit by a `key`');
  }
  const admission = new Admission(options);
  return async (request: Request, ...rest: Rest): Promise<Response> => {
    const incoming: Incoming = {
      peer: peer?.(request, ...rest),
      header: (name) => request.headers.get(name) ?? undefined,
    };
    const admitted = await admission.admit(request, incoming, request.signal);
    if (!admitted.answer.allowed) return dressed(await onLimited(request, admitted), admitted);
    const response = await handler(request, admitted, ...rest);
    admitted.answered?.(response.status);
    return dressed(response, admitted);
  };
}

function refusal(request: Request, { answer }: Permit): Response {
  const problem = limitProblem(answer);
  const body = request.method === 'HEAD' ? null : JSON.stringify(problem.toBody());
  return new Response(body, {
    status: problem.status,
    headers: { ...problem.toHeaders(), 'content-type': PROBLEM_MEDIA_TYPE },
  });
}

/** The answer with the headers. Those of redirects and of `fetch` itself cannot be changed, so they get a new one. */
function dressed(response: Response, { headers }: Admitted): Response {
  const names = Object.keys(headers);
  if (names.length === 0 || response.status === 101) return response;
  try {
    for (const name of names) response.headers.set(name, headers[name]!);
    return response;
  } catch {
    const changed = new Headers(response.headers);
    for (const name of names) changed.set(name, headers[name]!);
    return new Response(response.body, { status: response.status, statusText: response.statusText, headers: changed });
  }
}
