/**
 * Where the jobs of a queue are pushed to: what may be said of it, and its check.
 *
 * `secret` is `whsec_` and 24 … 64 bytes in base64, or several with a space between while one is exchanged for another:
 * every call carries a signature by each, so that the receiver may know either. `concurrency` (calls under way at a
 * time) and `ratePerSecond` (with a burst of a second's worth) hold for each replica; the queue's own limits hold for
 * all of them together. `timeoutMs` is from the start of a call to the end of its answer.
 */
import { randomBytes } from 'node:crypto';
import { grouped, type Issue, nearestName, Problem } from '@plinth/problem';
import type { PushTarget } from '../core/queue-definition.ts';
import { addressFault, readHttpUrl } from './address-guard.ts';
import { secretFault } from './signature.ts';

/** What a target without a word about it has. */
export const PUSH_DEFAULTS = { concurrency: 10, ratePerSecond: 0, timeoutMs: 30_000 } as const;
const RANGES = {
  concurrency: [1, 1_000],
  ratePerSecond: [0, 100_000],
  /** The longest that a lease lasts without a renewal is an hour; an answer that takes longer wants `Plinth-Ack: later`. */
  timeoutMs: [100, 900_000],
} as const;

const SECRETS_MAX = 5;
const HEADERS_MAX = 32;
const HEADER_CHARS_MAX = 4_096;
const MEMBERS = ['url', 'secret', 'concurrency', 'ratePerSecond', 'timeoutMs', 'headers'];

/** Names that are ours, the connection's, or would change what the signature covers. */
const RESERVED_HEADERS =
  /^(webhook-.*|plinth-.*|traceparent|tracestate|host|connection|content-length|content-type|content-encoding|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*)$/i;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
/** Visible ASCII with blanks inside: no line can be smuggled in. */
const HEADER_VALUE = /^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$/;

/** A new secret of 32 random bytes. */
export function newSecret(random: (bytes: number) => Buffer = randomBytes): string {
  return `whsec_${random(32).toString('base64')}`;
}

/**
 * Reads a target as somebody gave it; a missing secret is made.
 *
 * Names in the URL are not resolved here: what a name means can change at any time, so each connection looks for
 * itself (`address-guard.ts`). An address in the URL is refused at once.
 *
 * @throws Problem `invalid_request` that names every member at fault.
 */
export function readPushTarget(
  input: unknown,
  options: { allowPrivateTargets: boolean; makeSecret?: () => string },
): PushTarget {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new Problem('invalid_request', 'a push target is an object with a url');
  }
  const given = input as Record<string, unknown>;
  const issues: Issue[] = [];
  const fault = (member: string, message: string | undefined) => {
    if (message !== undefined) issues.push({ path: `/${member}`, message });
  };
  for (const member of Object.keys(given)) if (!MEMBERS.includes(member)) fault(member, unknownMember(member));
  fault('url', urlFault(given.url, options.allowPrivateTargets));
  if (given.secret !== undefined) fault('secret', secretsFault(given.secret));
  for (const member of ['concurrency', 'ratePerSecond', 'timeoutMs'] as const) {
    fault(member, rangeFault(member, given[member]));
  }
  for (const [name, message] of headerFaults(given.headers)) fault(`headers${name}`, message);
  if (issues.length > 0) {
    const [first] = issues as [Issue];
    throw new Problem('invalid_request', `${first.path.slice(1)}: ${first.message}`, { issues });
  }
  return {
    ...PUSH_DEFAULTS,
    ...(given as unknown as PushTarget),
    secret: (given.secret as string | undefined) ?? (options.makeSecret ?? newSecret)(),
  };
}

/** The target, if anything is to be pushed there. */
export function activeTarget(target: PushTarget | undefined): PushTarget | undefined {
  return target?.disabledReason === undefined ? target : undefined;
}

/** What is wrong with a URL that calls are to go to; undefined: nothing that can be seen without asking for its name. */
export function urlFault(url: unknown, allowPrivateTargets: boolean): string | undefined {
  if (typeof url !== 'string') return 'a URL is needed';
  const read = readHttpUrl(url);
  return 'fault' in read ? read.fault : addressFault(read.host, allowPrivateTargets);
}

/** The secrets of a target or of callbacks, the newest first. */
export function secretsOf(secret: string): string[] {
  return secret.split(' ').filter((one) => one !== '');
}

function unknownMember(member: string): string {
  const near = nearestName(member, MEMBERS);
  return near === undefined ? 'no such member' : `no such member; is ${near} meant?`;
}

function secretsFault(secret: unknown): string | undefined {
  if (typeof secret !== 'string') return 'a secret is text';
  const secrets = secretsOf(secret);
  if (secrets.length === 0) return 'the secret is empty';
  if (secrets.length > SECRETS_MAX) return `${secrets.length} secrets; the most is ${SECRETS_MAX}`;
  return secrets.map(secretFault).find((found) => found !== undefined);
}

function rangeFault(member: keyof typeof RANGES, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const [least, most] = RANGES[member];
  const isWhole = member === 'ratePerSecond' ? Number.isFinite(value) : Number.isInteger(value);
  if (isWhole && (value as number) >= least && (value as number) <= most) return undefined;
  return `${isWhole || typeof value === 'number' ? value : 'this'} is not a ${member === 'ratePerSecond' ? '' : 'whole '}number from ${grouped(least)} to ${grouped(most)}`;
}

function* headerFaults(headers: unknown): Generator<[string, string]> {
  if (headers === undefined) return;
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    yield ['', 'headers are an object of text'];
    return;
  }
  const entries = Object.entries(headers as Record<string, unknown>);
  if (entries.length > HEADERS_MAX) yield ['', `${entries.length} headers; the most is ${HEADERS_MAX}`];
  for (const [name, value] of entries) {
    const path = `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (!HEADER_NAME.test(name)) yield [path, 'not the name of a header'];
    else if (RESERVED_HEADERS.test(name)) yield [path, 'this header is not for targets to set'];
    else if (typeof value !== 'string' || value.length > HEADER_CHARS_MAX || !HEADER_VALUE.test(value)) {
      yield [path, `a value is visible ASCII of at most ${grouped(HEADER_CHARS_MAX)} characters`];
    }
  }
}
