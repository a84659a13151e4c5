/** What the parts of the battery share: one backend, keys that nobody used, and its time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Charge, type Outcome, type PolicySpec, policyOf, type RateAlgorithm } from '@plinth/limiter';
import type { Backend } from './backend.ts';

/** One backend for one run of the battery. */
export interface BackendUnderTest {
  backend: Backend;
  /** Moves the backend's clock on. Omitted: time is real and the battery sleeps. */
  advance?(ms: number): void | Promise<void>;
  /** The backend's clock, where the test owns it: microseconds on the grid that its windows lie on. */
  nowUs?(): number;
  stop(): Promise<void>;
}

export interface Bench {
  readonly subject: BackendUnderTest;
  readonly backend: Backend;
  /** A key nobody used before. */
  key(): string;
  charge(spec: PolicySpec, more?: Partial<Charge>): Charge;
  take(...charges: Charge[]): Promise<{ isAllowed: boolean; outcomes: Outcome[] }>;
  pass(ms: number): Promise<void>;
}

const MONTH_MS = 30 * 86_400_000;

/** A limit of each kind whose window does not end while a test runs. */
export const long = (algorithm: RateAlgorithm, limit: number): PolicySpec =>
  algorithm === 'calendar' ? { algorithm, limit, period: 'year' } : { algorithm, limit, windowMs: MONTH_MS };

export const RATE_ALGORITHMS = ['gcra', 'strict', 'sliding', 'fixed', 'calendar', 'leaky'] as const;

export class BenchOf implements Bench {
  #subject: BackendUnderTest | undefined;
  readonly #run = Math.random().toString(36).slice(2);
  #keys = 0;

  use(subject: BackendUnderTest): void {
    this.#subject = subject;
  }

  get subject(): BackendUnderTest {
    return this.#subject!;
  }

  get backend(): Backend {
    return this.subject.backend;
  }

  key(): string {
    return `battery:${this.#run}:${this.#keys++}`;
  }

  charge(spec: PolicySpec, more: Partial<Charge> = {}): Charge {
    return { key: this.key(), policy: policyOf(spec), cost: 1, ...more };
  }

  async take(...charges: Charge[]) {
    const [decision] = await this.backend.decide([{ charges, mode: 'take' }]);
    return decision!;
  }

  async pass(ms: number): Promise<void> {
    await (this.subject.advance ? this.subject.advance(ms) : sleep(ms));
  }
}

export const of = (charge: Charge, cost: number): Charge => ({ ...charge, cost });

/** What is left of a key, without taking of it. */
export async function left({ backend }: Bench, charge: Charge): Promise<number> {
  const [decision] = await backend.decide([{ charges: [of(charge, 0)], mode: 'look' }]);
  return decision!.outcomes[0]!.remaining;
}
