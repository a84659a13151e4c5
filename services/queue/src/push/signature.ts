/**
 * Signatures by the Standard Webhooks specification 1.0, symmetric (`v1`):
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 *
 * Computed by OpenSSL rather than by the specification's own package, which hashes in JavaScript; the test checks every
 * signature with that package, as a receiver would.
 */
import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const SECRET_BYTES_LEAST = 24;
const SECRET_BYTES_MOST = 64;

export interface SignedHeaders {
  readonly 'webhook-id': string;
  /** Seconds since 1970. */
  readonly 'webhook-timestamp': string;
  readonly 'webhook-signature'?: string;
}

/** What is wrong with a secret, without its words; undefined: nothing. */
export function secretFault(secret: string): string | undefined {
  if (!secret.startsWith(PREFIX)) return `a secret begins with ${PREFIX}`;
  const text = secret.slice(PREFIX.length);
  if (!BASE64.test(text)) return `a secret is base64 behind ${PREFIX}`;
  const { length } = Buffer.from(text, 'base64');
  if (length >= SECRET_BYTES_LEAST && length <= SECRET_BYTES_MOST) return undefined;
  return `a secret of ${length} bytes; ${SECRET_BYTES_LEAST} to ${SECRET_BYTES_MOST} are needed`;
}

/**
 * Signs a call, once by each secret; without any the call has no signature.
 *
 * @param id - Without a full stop, which parts what is signed.
 */
export function signedHeaders(
  call: { id: string; atMs: number; body: string },
  secrets: readonly string[],
): SignedHeaders {
  const seconds = String(Math.floor(call.atMs / 1_000));
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(PREFIX.length), 'base64');
    return `v1,${createHmac('sha256', key).update(`${call.id}.${seconds}.`).update(call.body).digest('base64')}`;
  });
  const headers = { 'webhook-id': call.id, 'webhook-timestamp': seconds };
  return signatures.length === 0 ? headers : { ...headers, 'webhook-signature': signatures.join(' ') };
}

/** The id of a call about a job: the same for each attempt, and of no other job of any queue. */
export function webhookId(kind: string, queue: string, id: string): string {
  return `${kind}_${queue}_${id}`.replaceAll('.', '~');
}
