/**
 * Keeps web pages out. A page in a browser on this machine can send requests to loopback; without a guard it could
 * write into the store of whoever reads it. Two ways in, two locks:
 *
 * - **DNS rebinding**: `evil.example` is made to resolve to 127.0.0.1, and the page is then of the same origin as the
 *   service. Its requests say `Host: evil.example`: only loopback names and the allowed ones are served.
 * - **Cross-site requests**: the page posts to `http://localhost:7401`. Its requests carry `Origin: https://evil.example`
 *   (`null` from a sandboxed frame), or where browsers send none, as with images, `Sec-Fetch-Site: cross-site`.
 *
 * Programs that are not browsers send neither `Origin` nor `Sec-Fetch-Site` and are not concerned.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { Problem } from '@plinth/problem';

export interface GuardOptions {
  /** The address listened on. */
  listenHost: string;
  allowedHosts: readonly string[];
  allowedOrigins: readonly string[];
}

export class OriginGuard {
  readonly #checksHost: boolean;
  readonly #isOnLoopback: boolean;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  /** The last `Host` that was let in. One client sends one, so that this comparison is nearly all that is done. */
  #lastHost: string | undefined;

  constructor({ listenHost, allowedHosts, allowedOrigins }: GuardOptions) {
    this.#isOnLoopback = isLoopback(listenHost);
    this.#checksHost = this.#isOnLoopback || allowedHosts.length > 0;
    this.#hosts = new Set(allowedHosts.map((host) => nameOf(host.toLowerCase())));
    this.#origins = new Set(allowedOrigins.map((origin) => origin.toLowerCase().replace(/\/$/, '')));
  }

  /** Why a request is refused, or undefined when it is welcome. */
  refusal(headers: IncomingHttpHeaders): Problem | undefined {
    const { host, origin } = headers;
    if (host !== this.#lastHost && host !== undefined) {
      if (!this.#allowsHost(host)) return refused(`the host ${host}`);
      this.#lastHost = host;
    }
    if (origin !== undefined) return this.#allowsOrigin(origin, host) ? undefined : refused(`the origin ${origin}`);
    return headers['sec-fetch-site'] === 'cross-site' ? refused('pages of another site') : undefined;
  }

  #allowsHost(host: string): boolean {
    if (!this.#checksHost) return true;
    const name = nameOf(host.toLowerCase());
    if (isLoopback(name) || this.#hosts.has(name)) return true;
    // An address cannot be rebound, and probes of Kubernetes and scrapers come by address.
    return !this.#isOnLoopback && isIP(name) !== 0;
  }

  /** Its own pages, those of other ports of the same loopback, and the allowed ones. */
  #allowsOrigin(origin: string, host: string | undefined): boolean {
    const given = origin.toLowerCase();
    if (this.#origins.has(given)) return true;
    if (host === undefined || !URL.canParse(given)) return false;
    const page = new URL(given);
    return page.host === withoutDefaultPort(host.toLowerCase(), page.protocol) || this.#isNeighbour(page, host);
  }

  #isNeighbour(page: URL, host: string): boolean {
    return isLoopback(nameOf(page.host)) && isLoopback(nameOf(host.toLowerCase()));
  }
}

/** `localhost`, names below it (RFC 6761 keeps them on this machine), 127.0.0.0/8 and ::1. */
export function isLoopback(name: string): boolean {
  return (
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === '::1' ||
    (isIP(name) === 4 && name.startsWith('127.'))
  );
}

/** A `Host` without its port and without the brackets of IPv6. */
function nameOf(host: string): string {
  if (isIP(host) === 6) return host;
  return /^\[([^\]]*)\](?::\d+)?$/.exec(host)?.[1] ?? host.replace(/:\d*$/, '');
}

function withoutDefaultPort(host: string, protocol: string): string {
  return host.replace(protocol === 'https:' ? /:443$/ : /:80$/, '');
}

function refused(whom: string): Problem {
  return new Problem('foreign_origin', `requests from ${whom} are refused; see ALLOWED_HOSTS and ALLOWED_ORIGINS`);
}
