/**
 * Policies by small numbers, so that a slot says in four bytes which one its state is of. Equal policies are one, and
 * a policy that no slot is of any more is forgotten: callers may send a new one with every request.
 */
import type { Policy } from './policy.ts';

export class PolicyTable {
  readonly #policies: (Policy | undefined)[] = [];
  readonly #users: number[] = [];
  readonly #free: number[] = [];
  readonly #numbers = new Map<string, number>();
  #newest: Policy | undefined;
  #newestNumber = -1;

  /** The policy of a number that is in use. */
  at(number: number): Policy {
    return this.#policies[number]!;
  }

  /** The number of a policy, for one more slot. */
  enter(policy: Policy): number {
    const number = this.#newest === policy ? this.#newestNumber : this.#numberOf(policy);
    this.#users[number]!++;
    return number;
  }

  leave(number: number): void {
    if (--this.#users[number]! > 0) return;
    const policy = this.#policies[number]!;
    this.#numbers.delete(textOf(policy));
    this.#policies[number] = undefined;
    this.#free.push(number);
    this.#newest = undefined;
  }

  /** From now on `at` answers with this object: rules were loaded again and say what they said before. */
  renew(number: number, policy: Policy): void {
    this.#policies[number] = policy;
  }

  #numberOf(policy: Policy): number {
    const text = textOf(policy);
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#policies.length;
      this.#policies[number] = policy;
      this.#users[number] = 0;
      this.#numbers.set(text, number);
    }
    this.#newest = policy;
    this.#newestNumber = number;
    return number;
  }
}

/** Whether a state under the one is, number for number, a state under the other. */
export function isSamePolicy(one: Policy, other: Policy): boolean {
  return (
    one.name === other.name &&
    one.limit === other.limit &&
    one.capacity === other.capacity &&
    one.windowUs === other.windowUs &&
    one.stepUs === other.stepUs &&
    one.spec.period === other.spec.period &&
    (one.spec.timeZone ?? 'UTC') === (other.spec.timeZone ?? 'UTC')
  );
}

function textOf({ name, limit, capacity, windowUs, stepUs, spec }: Policy): string {
  return `${name} ${limit} ${capacity} ${windowUs} ${stepUs} ${spec.period} ${spec.timeZone ?? 'UTC'}`;
}
