/** From a path template and parameters to what stands in the first line of an HTTP request. */
import type { TransportRequest } from './transport.ts';

/** Safe in a path and of no meaning there; `:` is not among them, since `…:incr` is an operation. */
const UNRESERVED = /^[A-Za-z0-9._~-]*$/;
const ESCAPED = /[^A-Za-z0-9._~-]/g;
const ESCAPED_BUT_SLASH = /[^A-Za-z0-9._~/-]/g;

const HEX = Array.from({ length: 256 }, (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`);

/**
 * `{name}` takes a byte string with slashes escaped, `{+name}` one with slashes as they are.
 *
 * @throws TypeError when a parameter is missing or is no byte string.
 */
export function requestTarget({ endpoint, params, query }: Pick<TransportRequest, 'endpoint' | 'params' | 'query'>) {
  const path = endpoint.path.replace(/\{(\+?)(\w+)\}/g, (_, rest: string, name: string) => {
    const value = params[name];
    if (value === undefined) throw new TypeError(`${endpoint.path} wants a ${name}`);
    return percentEncode(value, rest === '+' ? ESCAPED_BUT_SLASH : ESCAPED);
  });
  return path + searchOf(query);
}

function percentEncode(bytes: string, escaped: RegExp): string {
  if (UNRESERVED.test(bytes)) return bytes;
  return bytes.replace(escaped, (char) => {
    const byte = HEX[char.charCodeAt(0)];
    if (byte === undefined)
      throw new TypeError(`a path parameter is a byte string; ${JSON.stringify(char)} is no byte`);
    return byte;
  });
}

function searchOf(query: TransportRequest['query']): string {
  let search = '';
  for (const name in query) {
    const value = query[name];
    if (value !== undefined) search += `${search === '' ? '?' : '&'}${name}=${encodeURIComponent(value)}`;
  }
  return search;
}
