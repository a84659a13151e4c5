/** What the command lines of all benchmarks share. */

/** Thrown for a command line nobody can follow; the message says why. */
export class UsageFault extends Error {}

/** @throws UsageFault unless the text is a whole number from 1 to 9999. */
export function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw new UsageFault(`--${option} takes whole numbers from 1 to 9999, not "${text}"`);
  return Number(text);
}
