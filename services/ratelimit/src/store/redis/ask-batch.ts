/** Asks that go to Redis as one script, and their answers. */
import type { Charge, Decision, Outcome } from '@plinth/limiter';
import type { Ask } from '../backend.ts';
import type { ChargeCoder } from './charge-code.ts';

/** Whole numbers per charge in an answer of `decide-script.ts` and `paced-script.ts`. */
const PER_CHARGE = 4;
const ALLOWED = 1;
const BLOCKED = 2;
const NEVER = -1;

/** Told once, as promises are. */
export interface Waiting {
  resolve(decision: Decision): void;
  reject(error: unknown): void;
}

export class AskBatch {
  readonly #asks: Ask[] = [];
  readonly #waiting: Waiting[] = [];
  #charges = 0;
  /** Whether the short script can decide all of them. */
  #isPaced = true;

  add(ask: Ask, waiting: Waiting, coder: ChargeCoder): void {
    this.#asks.push(ask);
    this.#waiting.push(waiting);
    this.#charges += ask.charges.length;
    this.#isPaced &&= ask.mode === 'take' && ask.charges.length === 1 && coder.isPaced(ask.charges[0]!);
  }

  /** How many charges it has. */
  get charges(): number {
    return this.#charges;
  }

  get isPaced(): boolean {
    return this.#isPaced;
  }

  /** Keys and arguments of the script that decides this batch. */
  encode(coder: ChargeCoder): { keys: string[]; args: string[] } {
    const keys: string[] = [];
    const args: string[] = [];
    for (const { charges, mode } of this.#asks) {
      if (!this.#isPaced) args.push(mode, String(charges.length));
      for (const charge of charges) {
        keys.push(coder.keyOf(charge));
        if (this.#isPaced) coder.pushPaced(args, charge);
        else coder.push(args, charge);
      }
    }
    return { keys, args };
  }

  answered(answer: readonly number[]): void {
    let at = 0;
    for (const [number, { charges }] of this.#asks.entries()) {
      this.#waiting[number]!.resolve(decisionOf(charges, answer, at));
      at += charges.length * PER_CHARGE;
    }
  }

  failed(error: unknown): void {
    for (const waiting of this.#waiting) waiting.reject(error);
  }
}

function decisionOf(charges: readonly Charge[], answer: readonly number[], from: number): Decision {
  const outcomes: Outcome[] = [];
  let isAllowed = true;
  let at = from;
  for (const { isShadow } of charges) {
    const outcome = outcomeOf(answer, at);
    outcomes.push(outcome);
    if (!outcome.isAllowed && isShadow !== true) isAllowed = false;
    at += PER_CHARGE;
  }
  return { isAllowed, outcomes };
}

function outcomeOf(answer: readonly number[], at: number): Outcome {
  const code = answer[at]!;
  const waitUs = answer[at + 2]!;
  const isAllowed = code === ALLOWED;
  return {
    isAllowed,
    remaining: answer[at + 1]!,
    retryAfterUs: isAllowed ? 0 : neverOr(waitUs),
    resetUs: answer[at + 3]!,
    delayUs: isAllowed ? waitUs : 0,
    isBlocked: code === BLOCKED,
  };
}

/** Microseconds as scripts answer them. */
export const neverOr = (us: number): number => (us === NEVER ? Number.POSITIVE_INFINITY : us);
