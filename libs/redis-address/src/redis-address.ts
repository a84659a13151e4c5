/** Where Redis is, as one setting says it. */

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export interface RedisAddress {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** `single`: the server. `sentinel`: the sentinels. `cluster`: some nodes to learn the others from. */
  readonly nodes: readonly RedisNode[];
  /** `sentinel`: what they call the primary. */
  readonly primaryName: string | undefined;
  readonly isTls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
}

const FORM = /^(redis|rediss)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/([^?#]*))?$/;
const FORMS =
  'redis://host:port/db, redis+sentinel://host:port,…/name/db or redis+cluster://host:port,… (rediss for TLS)';
const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;

/**
 * Reads `redis://[user:password@]host:port/db`, `redis+sentinel://…@h1:p1,h2:p2/name/db` and
 * `redis+cluster://…@h1:p1,h2:p2`; `rediss` instead of `redis` for TLS.
 *
 * @throws RangeError that says what is wrong and never shows the password.
 */
export function redisAddress(url: string): RedisAddress {
  const parts = FORM.exec(url);
  if (parts === null) throw new RangeError(`the address of Redis is none of ${FORMS}`);
  const [, scheme, mode, login = '', hosts, path = ''] = parts;
  const kind = mode === 'sentinel' || mode === 'cluster' ? mode : 'single';
  const nodes = hosts!
    .split(',')
    .map((host) => nodeOf(host, kind === 'sentinel' ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT));
  if (kind === 'single' && nodes.length > 1)
    throw new RangeError(`one server is meant, and there are ${nodes.length} in ${hosts}`);
  const segments = path.split('/').filter(Boolean);
  const primaryName = kind === 'sentinel' ? segments.shift() : undefined;
  if (kind === 'sentinel' && primaryName === undefined)
    throw new RangeError('after the sentinels comes /name of the primary');
  const db = dbOf(segments);
  if (kind === 'cluster' && db !== 0) throw new RangeError('a cluster has no databases but 0');
  return { kind, nodes, primaryName, isTls: scheme === 'rediss', ...loginOf(login), db };
}

function nodeOf(text: string, defaultPort: number): RedisNode {
  const parts = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d+))?$/.exec(text);
  const port = Number(parts?.[2] ?? defaultPort);
  if (parts === null || port < 1 || port > 65_535) throw new RangeError(`${JSON.stringify(text)} is no host:port`);
  return { host: parts[1]!.replace(/^\[|\]$/g, ''), port };
}

function dbOf(segments: readonly string[]): number {
  const [db = '0', ...more] = segments;
  if (!/^\d{1,5}$/.test(db) || more.length > 0)
    throw new RangeError(`${JSON.stringify(segments.join('/'))} is no database number`);
  return Number(db);
}

function loginOf(login: string): { username: string | undefined; password: string | undefined } {
  const colon = login.indexOf(':');
  // As Redis' own tools read it: what stands alone is the user.
  const user = colon < 0 ? login : login.slice(0, colon);
  const password = colon < 0 ? undefined : decoded(login.slice(colon + 1));
  return { username: user === '' ? undefined : decoded(user), password };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RangeError('the user or the password in the address of Redis is not percent-encoded');
  }
}
