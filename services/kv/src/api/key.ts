/** Keys and buckets as callers write them. */
import { BUCKET_NAME, LIMITS } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import { printable } from '../core/operations.ts';
import type { ByteString } from '../store/store.ts';

/**
 * A key that may be used: 1 to 1,024 bytes of any kind but NUL, and no path segment `.` or `..`, which clients and
 * proxies on the way would resolve.
 *
 * @throws Problem `invalid_key`.
 */
export function legalKey(key: ByteString): ByteString {
  if (key.length === 0) throw new Problem('invalid_key', 'the key is empty');
  if (key.length > LIMITS.keyBytesMax) {
    throw new Problem('invalid_key', `the key has ${key.length} bytes; the most is ${LIMITS.keyBytesMax}`, {
      members: { sizeBytes: key.length, limitBytes: LIMITS.keyBytesMax },
    });
  }
  if (key.includes('\0')) throw new Problem('invalid_key', 'the key holds a NUL byte');
  if (key.includes('.') && DOT_SEGMENT.test(key)) {
    throw new Problem('invalid_key', `${printable(key)} has a segment "." or "..", which would be resolved on the way`);
  }
  return key;
}

const DOT_SEGMENT = /(?:^|\/)\.{1,2}(?:\/|$)/;

/** @throws Problem `invalid_request`. */
export function legalBucket(name: string): string {
  if (BUCKET_NAME.test(name)) return name;
  throw new Problem('invalid_request', `${JSON.stringify(name)} is no bucket name`, {
    issues: [{ path: '/params/bucket', message: 'a bucket is 1–63 of a–z, 0–9, - and _, not at its ends' }],
  });
}

/** The bytes of a text in UTF-8. */
export function bytesOf(text: string): ByteString {
  // Most keys are ASCII, and those are their own bytes.
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: every ASCII byte is one char and the same byte.
const isAscii = (text: string): boolean => /^[\x00-\x7f]*$/.test(text);

/** A key in JSON. The schema has seen to it that there is exactly one of the two. */
export function keyOf({ key, keyBase64 }: { key?: string | undefined; keyBase64?: string | undefined }): ByteString {
  return legalKey(key === undefined ? Buffer.from(keyBase64 ?? '', 'base64').toString('latin1') : bytesOf(key));
}

/** A key for JSON: as text when its bytes are UTF-8. */
export function keyMembers(key: ByteString): { key: string } | { keyBase64: string } {
  if (isAscii(key)) return { key };
  const bytes = Buffer.from(key, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? { key: text } : { keyBase64: bytes.toString('base64') };
}

/** A key in a URL: bytes percent-encoded, slashes as they are. */
export const keyInUrl = (key: ByteString): string =>
  key.replace(
    /[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );
