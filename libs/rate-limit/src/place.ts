/** A place of a limit that counts what is under way, as its holder has it. */
import type { AcquireAnswer, CheckAnswer } from '@plinth/contracts/ratelimit';
import type { Place } from './rate-limiter.ts';

type Tell = <Answer>(what: 'heartbeat' | 'release', body: object) => Promise<Answer>;

export class HeldPlace implements Place {
  readonly answer: CheckAnswer;
  readonly #hold: string;
  readonly #tell: Tell;
  #expiresInMs: number | undefined;
  #isReleased = false;

  constructor({ hold, expiresInMs, ...answer }: AcquireAnswer, tell: Tell) {
    this.answer = answer;
    this.#hold = hold!;
    this.#expiresInMs = expiresInMs;
    this.#tell = tell;
  }

  get expiresInMs(): number | undefined {
    return this.#expiresInMs;
  }

  async keep(): Promise<void> {
    if (this.#isReleased) return;
    this.#expiresInMs = (await this.#tell<{ expiresInMs: number }>('heartbeat', { hold: this.#hold })).expiresInMs;
  }

  async release(outturn: { latencyMs?: number; overload?: boolean } = {}): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    await this.#tell('release', { hold: this.#hold, ...outturn }).catch(() => {});
  }
}

/** Denied, or let in without the service: there is nothing to keep or to free. */
export function noPlace(answer: CheckAnswer): Place {
  return { answer, expiresInMs: undefined, async keep() {}, async release() {} };
}
