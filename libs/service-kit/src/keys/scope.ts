/**
 * What a key may do: `*`, or `kv:*`, `kv:read`, `kv:write`, which may end in a path: `kv:read:/v1/kv/orders/`.
 *
 * Write does not include read: what only brings things in need not see what others have brought.
 *
 * A path is compared with the text that was sent, percent signs and all, and by whole segments: `/v1/kv/orders` covers
 * `/v1/kv/orders`, `/v1/kv/orders/7` and `/v1/kv/orders:txn`, not `/v1/kv/orders2`; with a `/` at its end only what lies
 * below. Routes are found from the same text and nothing resolves `..` in it, so no spelling leads out of a scope: one
 * that the comparison does not know, `/v1/kv/%6Frders`, is refused.
 */
import type { Operation } from '@plinth/contracts';

export type Access = 'read' | 'write';

export interface Scope {
  /** `*`: each one. */
  service: string;
  /** `*`: both. */
  access: Access | '*';
  /** Empty: all of them. */
  path: string;
}

/** What a scope must be, to be read after "it must be". */
export const SCOPE_FORM = '*, <service>:*, <service>:read or <service>:write, the last three with :/path if need be';

const PATH = /(?:\/(?:(?![%?#,])[!-~]|%[0-9A-Fa-f]{2})*)/.source;
const SCOPE = new RegExp(`^([a-z][a-z0-9-]*):(\\*|read|write)(?::(${PATH}))?$`);

/** A scope from its text, or undefined when it is none. */
export function parseScope(text: string): Scope | undefined {
  if (text === '*') return { service: '*', access: '*', path: '' };
  const [, service, access, path = ''] = SCOPE.exec(text) ?? [];
  return service === undefined ? undefined : { service, access: access as Scope['access'], path };
}

/** What an operation needs: a method that is safe (RFC 9110 §9.2.1) reads, and what says that it only reads. */
export function accessOf({ method, readsOnly }: Pick<Operation, 'method' | 'readsOnly'>): Access {
  return method === 'GET' || method === 'HEAD' || readsOnly ? 'read' : 'write';
}

/** What the bearer of one key may do in one service. */
export class Grant {
  readonly name: string;
  /** How often it may be used: a rule of the rate limiter. */
  readonly limitName: string | undefined;
  readonly #scopes: readonly Scope[];

  constructor(name: string, scopes: readonly Scope[], service: string, limitName?: string) {
    this.name = name;
    this.limitName = limitName;
    this.#scopes = scopes.filter((scope) => scope.service === '*' || scope.service === service);
  }

  /** @param path - Of the request, as it was sent, without its query. */
  allows(access: Access, path: string): boolean {
    for (const scope of this.#scopes) {
      if ((scope.access === '*' || scope.access === access) && covers(scope.path, path)) return true;
    }
    return false;
  }
}

function covers(scope: string, path: string): boolean {
  if (scope === '') return true;
  if (!path.startsWith(scope)) return false;
  const next = path[scope.length];
  return next === undefined || next === '/' || next === ':' || scope.endsWith('/');
}
