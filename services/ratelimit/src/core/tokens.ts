/**
 * What callers carry for us between two requests, so that any replica can go on where another began: the charges of a
 * reservation or of a place. Base64 of JSON, opaque to callers. Not a secret and not signed: whoever may refund may
 * also write one, and gets no further with it than with a refund.
 */
import { type Charge, type PolicySpec, policyOf } from '@plinth/limiter';

export interface Token {
  readonly kind: 'reservation' | 'hold';
  readonly id: string;
  readonly charges: readonly Charge[];
  /** When it expires, milliseconds since 1970. */
  readonly untilMs: number;
}

type Written = [kind: 'r' | 'h', id: string, untilMs: number, charges: [key: string, cost: number, spec: PolicySpec][]];

export function writeToken({ kind, id, charges, untilMs }: Token): string {
  const written: Written = [
    kind === 'hold' ? 'h' : 'r',
    id,
    untilMs,
    charges.map(({ key, cost, policy }) => [key, cost, policy.spec]),
  ];
  return Buffer.from(JSON.stringify(written)).toString('base64url');
}

/** Undefined when it is none of that kind. */
export function readToken(text: string, kind: Token['kind']): Token | undefined {
  try {
    const [letter, id, untilMs, charges] = JSON.parse(Buffer.from(text, 'base64url').toString()) as Written;
    if (letter !== kind[0] || typeof id !== 'string' || !Number.isSafeInteger(untilMs)) return undefined;
    return { kind, id, untilMs, charges: charges.map(readCharge) };
  } catch {
    return undefined;
  }
}

function readCharge([key, cost, spec]: Written[3][number]): Charge {
  if (typeof key !== 'string' || !Number.isSafeInteger(cost) || cost < 0) throw new TypeError('no charge');
  return { key, cost, policy: policyOf(spec) };
}
