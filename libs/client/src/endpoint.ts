/**
 * Where an operation is found and whether it may be repeated: the part of its contract that a caller needs.
 *
 * Said again here, and not taken from `@plinth/contracts`, because that loads zod: 75 ms and 18 MB at start (40 ms with
 * a compile cache) for schemas that a client never asks. `kv/endpoints.test.ts` keeps the two equal, both ways; types
 * come from the contracts, since types cost nothing.
 */
import type { HttpMethod, Operation } from '@plinth/contracts';

export interface Endpoint
  extends Pick<Operation, 'service' | 'name' | 'method' | 'path' | 'subject' | 'idempotent' | 'streams'> {
  /** The service remembers what it answered to an `Idempotency-Key`. */
  isKeyed: boolean;
}

type Facts = Partial<Pick<Endpoint, 'idempotent' | 'streams' | 'isKeyed'>>;

/** Makes the endpoints of one service: `endpoint('touch', 'POST /v1/kv/{bucket}/{+key}:touch', { idempotent: true })`. */
export function endpointsOf(service: string) {
  return (name: string, route: `${HttpMethod} /${string}`, facts: Facts = {}): Endpoint => {
    const [method, path] = route.split(' ') as [HttpMethod, string];
    const subject = `plinth.${service}.v1.${name}`;
    const idempotent = method !== 'POST' && method !== 'PATCH';
    return { service, name, method, path, subject, idempotent, streams: false, isKeyed: false, ...facts };
  };
}

/** A read changes nothing, so that nobody needs to know whether it happened. */
export const isRead = ({ method }: Endpoint): boolean => method === 'GET' || method === 'HEAD';
