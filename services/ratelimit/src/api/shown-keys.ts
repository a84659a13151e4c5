/** How values of keys are shown to people and pages: they may be addresses, names and tokens of customers. */
import { createHmac } from 'node:crypto';

/** Of 64 bits nobody meets two alike. */
const PRINT_CHARS = 12;
/** A page has little room, and the longest value is 2 kB. */
const VALUE_CHARS_MAX = 200;

/** As they are, long ones cut. */
export function plainKeys(value: string): string {
  return value.length > VALUE_CHARS_MAX ? `${value.slice(0, VALUE_CHARS_MAX - 1)}…` : value;
}

/**
 * A print of each, the same for the same value as long as the salt is: two can be told apart, none can be read, and
 * without the salt none can be guessed.
 */
export function hashedKeys(salt: string): (value: string) => string {
  return (value) => createHmac('sha256', salt).update(value).digest('base64url').slice(0, PRINT_CHARS);
}
