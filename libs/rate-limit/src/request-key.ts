/** What a request is limited by: the address of its caller, an API key, a header, or whatever a function finds. */
import { hash } from 'node:crypto';
import type { LimitKey } from './check-form.ts';
import { type ClientAddressOptions, clientAddress, type RequestOrigin } from './client-address.ts';
import { isLater } from './turn.ts';

/** What every kind of request can tell. */
export interface Incoming extends RequestOrigin {
  /** By its lower-case name. Several of one name are joined by commas. */
  header(name: string): string | undefined;
}

/**
 * Finds what a request is limited by. Undefined or empty: it has none, and is limited by its address instead, for else
 * leaving it out would lift the limit.
 */
export type KeyOf<Request> = (
  request: Request,
  incoming: Incoming,
) => LimitKey | undefined | Promise<LimitKey | undefined>;

/** The caller's address behind trusted proxies. @throws RangeError, see `clientAddress`. */
export function byAddress(options: ClientAddressOptions = {}): KeyOf<unknown> {
  const addressOf = clientAddress(options);
  return (_, incoming) => addressOf(incoming);
}

/** The value of a header. Only of one that cannot be chosen freely: who may write what he likes has no limit. */
export function byHeader(name: string): KeyOf<unknown> {
  const lowerCase = name.toLowerCase();
  return (_, incoming) => incoming.header(lowerCase);
}

/** `Api-Key`, else the bearer of `Authorization`; hashed, so that no key is seen in the limiter or its metrics. */
export function byApiKey(): KeyOf<unknown> {
  return (_, incoming) => {
    const key = incoming.header('api-key') ?? /^Bearer +(\S.*)$/i.exec(incoming.header('authorization') ?? '')?.[1];
    return key === undefined || key === '' ? undefined : digestOf(key);
  };
}

/** The first that is there: `firstOf((request) => request.user?.id, byApiKey(), byAddress())`. */
export function firstOf<Request>(...keys: readonly KeyOf<Request>[]): KeyOf<Request> {
  return (request, incoming) => {
    const from = (start: number): ReturnType<KeyOf<Request>> => {
      for (let at = start; at < keys.length; at++) {
        const found = keys[at]!(request, incoming);
        // No promise unless a key has one.
        if (isLater(found)) return found.then((late) => (isThere(late) ? late : from(at + 1)));
        if (isThere(found)) return found;
      }
      return undefined;
    };
    return from(0);
  };
}

/** Longer ones stand for themselves by a digest: a caller shall not fill our memory with his header. */
const CHARS_MAX = 256;

/** A key that can be sent, or undefined when there is none. */
export function usableKey(key: LimitKey | undefined): LimitKey | undefined {
  if (!isThere(key)) return undefined;
  if (typeof key === 'string') return usableWord(key);
  return key.every((word) => word.length > 0 && word.length <= CHARS_MAX) ? key : key.map(usableWord);
}

function usableWord(word: string): string {
  if (word.length <= CHARS_MAX) return word === '' ? '-' : word;
  return `sha256:${digestOf(word)}`;
}

function isThere(key: LimitKey | undefined): key is LimitKey {
  return key !== undefined && key !== null && key.length > 0;
}

/** 128 bits: no two keys meet by chance. */
function digestOf(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 22);
}
