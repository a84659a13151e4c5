/** Limits that come with requests, checked once each: callers say the same few over and over. */
import { type Policy, type PolicySpec, policyOf } from '@plinth/limiter';
import { Problem } from '@plinth/problem';

/** Some 300 bytes each. */
const KNOWN_MAX = 10_000;

export class RequestPolicies {
  readonly #known = new Map<string, Policy>();

  /**
   * @param path - Where it stands in the request.
   * @param inspect - Called for one that is new: throws when it has members it should not have.
   * @throws Problem `invalid_request`
   */
  of(spec: PolicySpec, path = '/limit', inspect?: () => void): Policy {
    const text = JSON.stringify(spec);
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    inspect?.();
    const policy = checked(spec, path);
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(text, policy);
    return policy;
  }
}

function checked(spec: PolicySpec, path: string): Policy {
  try {
    return policyOf(spec);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const issues = [{ path, message: error.message }];
    throw new Problem('invalid_request', `the limit cannot be: ${error.message}`, { issues });
  }
}
