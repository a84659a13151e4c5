/** The two remote procedures that are raced, as bytes: Envoy's ShouldRateLimit and gubernator's GetRateLimits. */
import { field, fieldsOf } from './protobuf.ts';
import { ENVOY_DOMAIN, FOUR, KEYS, keyOf, LIMITS, type NamedLimit } from './workload.ts';

export const SHOULD_RATE_LIMIT = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
export const GET_RATE_LIMITS = '/pb.gubernator.V1/GetRateLimits';

const RLS_OK = 1;
const RLS_OVER_LIMIT = 2;
const UNDER_LIMIT = 0;

/** An entry of a descriptor. */
export interface DescriptorEntry {
  key: string;
  value: string;
}

/** A RateLimitRequest with one descriptor of one entry for each of `entries`. */
export function shouldRateLimit(entries: readonly DescriptorEntry[]): Buffer {
  const descriptors = entries.map(({ key, value }) =>
    field(2, field(1, Buffer.concat([field(1, key), field(2, value)]))),
  );
  return Buffer.concat([field(1, ENVOY_DOMAIN), ...descriptors]);
}

/**
 * Reads a RateLimitResponse.
 * @returns Whether the request as a whole may pass, and how many descriptors were answered.
 * @throws Error when it says neither yes nor no.
 */
export function readRlsAnswer(message: Buffer): { isAllowed: boolean; descriptors: number } {
  let code = 0;
  let descriptors = 0;
  for (const { number, value } of fieldsOf(message)) {
    if (number === 1) code = value as number;
    if (number === 2) descriptors++;
  }
  if (code !== RLS_OK && code !== RLS_OVER_LIMIT) throw new Error(`the overall code is ${code}`);
  return { isAllowed: code === RLS_OK, descriptors };
}

/** What one entry of a GetRateLimits says. */
export interface GubernatorAsk {
  key: string;
  limit: NamedLimit;
  algorithm: 'token' | 'leaky';
}

export function getRateLimits(asks: readonly GubernatorAsk[]): Buffer {
  const requests = asks.map(({ key, limit, algorithm }) => {
    const members = [
      field(1, `bench-${limit.unit}`),
      field(2, key),
      field(3, 1),
      field(4, limit.units),
      field(5, limit.windowMs),
      field(6, algorithm === 'leaky' ? 1 : 0),
    ];
    return field(1, Buffer.concat(members));
  });
  return Buffer.concat(requests);
}

/**
 * Reads a GetRateLimitsResp.
 * @returns For each ask in order, whether it may pass.
 * @throws Error when one of them failed.
 */
export function readGubernatorAnswer(message: Buffer): boolean[] {
  const verdicts: boolean[] = [];
  for (const { number, value } of fieldsOf(message)) {
    if (number === 1) verdicts.push(isUnderLimit(value as Buffer));
  }
  return verdicts;
}

function isUnderLimit(response: Buffer): boolean {
  let status = UNDER_LIMIT;
  for (const { number, value } of fieldsOf(response)) {
    if (number === 1) status = value as number;
    if (number === 5 && (value as Buffer).length > 0) throw new Error(String(value));
  }
  return status === UNDER_LIMIT;
}

/** A kind of call for the load generator: ready-made messages, and how to see that an answer allows everything. */
export interface Call {
  path: string;
  /** One for each key to begin with. */
  messages: Buffer[];
  decisions: number;
  /** @throws Error when the answer is not a yes to all that was asked. */
  assertAllowed(answer: Buffer): void;
}

/** By name, so that a load generator in another process can be told which. */
export const CALLS: Record<string, () => Call> = {
  'rls-1': () => rlsCall(['plenty']),
  'rls-4': () => rlsCall(FOUR),
  'gubernator-1': () => gubernatorCall(1),
  'gubernator-32': () => gubernatorCall(32),
};
export type CallName = 'rls-1' | 'rls-4' | 'gubernator-1' | 'gubernator-32';

function rlsCall(names: readonly string[]): Call {
  return {
    path: SHOULD_RATE_LIMIT,
    messages: numbers().map((first) => shouldRateLimit(names.map((key) => ({ key, value: keyOf(first) })))),
    decisions: 1,
    assertAllowed(answer) {
      const { isAllowed, descriptors } = readRlsAnswer(answer);
      if (!isAllowed || descriptors !== names.length) throw new Error(`denied, or ${descriptors} descriptors answered`);
    },
  };
}

function gubernatorCall(decisions: number): Call {
  const asks = (first: number): GubernatorAsk[] =>
    Array.from({ length: decisions }, (_, index) => ({
      key: keyOf((first + index * 7) % KEYS),
      limit: LIMITS.plenty,
      algorithm: 'token',
    }));
  return {
    path: GET_RATE_LIMITS,
    messages: numbers().map((first) => getRateLimits(asks(first))),
    decisions,
    assertAllowed(answer) {
      const verdicts = readGubernatorAnswer(answer);
      if (verdicts.length !== decisions || verdicts.includes(false)) throw new Error('not all were allowed');
    },
  };
}

function numbers(): number[] {
  return Array.from({ length: KEYS }, (_, number) => number);
}
