/**
 * `Idempotency-Key`: a repeat answers with the first ids and enqueues nothing. The lane remembers a call together with
 * its jobs, so that nothing lies between the two, whoever dies when. Remembered are prints only, and ids.
 */
import { createHash } from 'node:crypto';
import type { Call } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import type { OnceCall } from '../core/job.ts';

const DAY_S = 24 * 3_600;
const PRINT_CHARS = 16;

/**
 * Undefined: the call has no key.
 *
 * @throws Problem `invalid_request` for a key that is none, and for a time that is none.
 */
export function onceCall(call: Pick<Call, 'header'>, body: string): OnceCall | undefined {
  const key = call.header('idempotency-key');
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw headerFault('idempotency-key', 'expected 1–255 printable ASCII characters');
  }
  const ttlS = readTtl(call.header('idempotency-key-ttl'));
  return { key: printOf(key), print: printOfCall(call, body), ttlMs: ttlS * 1_000 };
}

export const idempotencyMismatch = (call: Pick<Call, 'header'>): Problem =>
  new Problem(
    'idempotency_mismatch',
    `the idempotency key ${call.header('idempotency-key')} belongs to another request`,
  );

function readTtl(text: string | undefined): number {
  if (text === undefined) return DAY_S;
  const ttlS = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (ttlS >= 1 && ttlS <= DAY_S) return ttlS;
  throw headerFault('idempotency-key-ttl', 'expected seconds, a whole number from 1 to 86,400');
}

const headerFault = (name: string, message: string): Problem =>
  new Problem('invalid_request', `the header ${name}: ${message}`, { issues: [{ path: `/headers/${name}`, message }] });

/** What tells a request from another: its body, and how the body is to be read. */
function printOfCall(call: Pick<Call, 'header'>, body: string): string {
  const how = ['content-type', 'ce-type', 'ce-source', 'ce-id'].map((name) => `${call.header(name) ?? ''}\n`);
  return printOf(...how, body);
}

/** 96 bits: two of them are equal by chance only, and who looks for two that are finds keys of his own. */
function printOf(...texts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text);
  return hash.digest('base64url').slice(0, PRINT_CHARS);
}
