import { createTraceState, type TraceState } from '@opentelemetry/api';

/**
 * A `tracestate` that leaves as it came. The one of the API takes the list apart for every request and drops one that
 * is longer than 512 characters; here that happens only to those who ask for a member.
 */
export class OpaqueTraceState implements TraceState {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get(key: string): string | undefined {
    return createTraceState(this.#text).get(key);
  }

  set(key: string, value: string): TraceState {
    return createTraceState(this.#text).set(key, value);
  }

  unset(key: string): TraceState {
    return createTraceState(this.#text).unset(key);
  }

  serialize(): string {
    return this.#text;
  }
}
