/**
 * Sessions of browsers, for mounts alone.
 *
 * A browser that follows a link or loads a picture sends no API key. So a page of the service that has one changes it,
 * by `POST <path>:session`, for a cookie: the key itself, so that any replica knows it and whoever takes the key away
 * ends the session too. Scripts cannot read it (`HttpOnly`), it is sent to the mount alone (`Path`), never with what
 * other sites begin (`SameSite=Strict`), over TLS only where the page came so (`Secure`), and for eight hours.
 *
 * "Site" means a host whatever its port, so what changes something must be told by the browser to come from a page of
 * this very origin.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { type Call, operationsOf, type Served, serve } from '@plinth/contracts';
import { z } from 'zod';
import type { Mount } from '../kit.ts';
import { keyOf } from './key-guard.ts';

const COOKIE = 'plinth-session';
const COOKIE_VALUE = new RegExp(`(?:^|;\\s*)${COOKIE}=([A-Za-z0-9_-]+)`);
const AGE_S = 8 * 3_600;

const operation = operationsOf('kit');

/** The operation that begins one. @param isGuarded - Without keys there is nothing to remember. */
export function mountSession({ name, path }: Mount, isGuarded: boolean): Served {
  const begin = operation({
    name: `${name}Session`,
    summary: `Change an API key for a cookie, for ${path}`,
    method: 'POST',
    path: `${path}:session`,
    query: z.strictObject({}),
    body: { kind: 'none' },
    replies: [{ status: 204, description: 'The cookie is in the answer.' }],
    // Whoever may only look may look here.
    readsOnly: true,
  });
  return serve(begin, (call) => {
    const cookie = isGuarded ? cookieOf(call as Call, path) : undefined;
    return { status: 204, headers: { 'cache-control': 'no-store', ...(cookie && { 'set-cookie': cookie }) } };
  });
}

function cookieOf(call: Call, path: string): string | undefined {
  const key = keyOf({ authorization: call.header('authorization'), 'api-key': call.header('api-key') });
  if (key === undefined) return undefined;
  // A cookie takes fewer characters than a key.
  const value = Buffer.from(key, 'latin1').toString('base64url');
  const isOverTls = call.header('origin')?.startsWith('https:') ?? false;
  return `${COOKIE}=${value}; Path=${path}; Max-Age=${AGE_S}; HttpOnly; SameSite=Strict${isOverTls ? '; Secure' : ''}`;
}

/** The key in the cookie, where the request carries none itself. */
export function sessionKey(headers: IncomingHttpHeaders): string | undefined {
  if (keyOf(headers) !== undefined || headers.cookie === undefined) return undefined;
  const value = COOKIE_VALUE.exec(headers.cookie)?.[1];
  return value === undefined ? undefined : Buffer.from(value, 'base64url').toString('latin1');
}

/**
 * Was it sent by a page of this origin? `Sec-Fetch-Site` says so, and no script can write it; browsers leave it out
 * over plain HTTP beyond loopback, but send `Origin` with everything that is no GET.
 */
export function isOwnPage({ host, origin, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  if (site !== undefined) return site === 'same-origin';
  return origin !== undefined && URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
}
