/**
 * What every opponent is asked to do: 100,000 keys with values of 128 bytes, chosen at random.
 *
 * A page is the hundred keys that share a prefix, `key-0123` for one, so that each opponent can answer it from one
 * range with a known end. (An open range would be dearer for etcd, which counts all keys up to the end of it.)
 */
import type { HttpRequest } from '../wrk.ts';

/** What is measured. */
export const OPERATIONS = ['put', 'get', 'page', 'page-keys'] as const;
export type Operation = (typeof OPERATIONS)[number];

export const BUCKET = 'bench';
export const KEYS = 100_000;
export const VALUE_BYTES = 128;
export const PAGE_KEYS = 100;
const PAGES = KEYS / PAGE_KEYS;

/** An operation in words, for tables. */
export const OPERATION_TEXT: Record<Operation, string> = {
  put: 'put 128 B, overwrite, random of 100,000 keys',
  get: 'get 128 B, random of 100,000 keys',
  page: 'page of 100 keys with values',
  'page-keys': 'page of 100 keys, keys only',
};

/** The key of a number from 0 to 99,999. */
export function keyOf(number: number): string {
  return `key-${String(number).padStart(6, '0')}`;
}

/** The prefix whose keys are one page; `page` is 0 to 999. */
export function prefixOf(page: number): string {
  return keyOf(page * PAGE_KEYS).slice(0, -2);
}

/** The numbers of the keys of a page, in order. */
export function numbersOf(page: number): number[] {
  return Array.from({ length: PAGE_KEYS }, (_, index) => page * PAGE_KEYS + index);
}

/** `filled` is stored before the race, `put` by the race: a put always changes the value. */
export const GENERATIONS = ['filled', 'put'] as const;
export type Generation = (typeof GENERATIONS)[number];

/** 128 ASCII bytes that begin with their own key, so that a value under a wrong key is found, and do not compress. */
export function valueFor(number: number, generation: Generation): string {
  let text = `${keyOf(number)} ${generation} `;
  // A multiplicative congruential generator (Park and Miller): the same values in every run, unlike each other.
  let state = number * 2 + (generation === 'put' ? 1 : 0) + 1;
  while (text.length < VALUE_BYTES) {
    state = (state * 48_271) % 2_147_483_647;
    text += state.toString(36);
  }
  return text.slice(0, VALUE_BYTES);
}

/** Each different request of an operation once; the load generator draws from them at random. */
export function* requestsOf(
  operation: Operation,
  request: (operation: Operation, number: number) => HttpRequest,
): Generator<HttpRequest> {
  const count = operation === 'put' || operation === 'get' ? KEYS : PAGES;
  for (let number = 0; number < count; number++) yield request(operation, number);
}

/** A few numbers spread over `count`, both ends among them. */
export function spread(count: number, samples = 20): number[] {
  return Array.from({ length: samples }, (_, index) => Math.round((index * (count - 1)) / (samples - 1)));
}

export const SAMPLE_KEYS = spread(KEYS);
export const SAMPLE_PAGES = spread(PAGES, 5);
