/** Keys and buckets as callers write them. */
import { bytesOfText, percentEncode, textOfBytes } from '@plinth/contracts/byte-string';
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

/** The bytes of a text in UTF-8. @throws Problem `invalid_key` for half a surrogate pair, which has none. */
export function bytesOf(text: string): ByteString {
  const bytes = bytesOfText(text);
  if (bytes !== undefined) return bytes;
  throw new Problem('invalid_key', `${JSON.stringify(text)} holds half a surrogate pair, which has no UTF-8`);
}

/** A key in JSON. The schema has seen to it that there is exactly one of the two. */
export function keyOf({ key, keyBase64 }: { key?: string | undefined; keyBase64?: string | undefined }): ByteString {
  return legalKey(key === undefined ? Buffer.from(keyBase64 ?? '', 'base64').toString('latin1') : bytesOf(key));
}

/** A key for JSON: as text when its bytes are UTF-8. */
export function keyMembers(key: ByteString): { key: string } | { keyBase64: string } {
  const text = textOfBytes(key);
  return text === undefined ? { keyBase64: Buffer.from(key, 'latin1').toString('base64') } : { key: text };
}

/** A key in a URL: what may stand in a path stays as it is (RFC 3986 pchar, and slashes), other bytes are encoded. */
export const keyInUrl = (key: ByteString): string => key.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g, percentEncode);
