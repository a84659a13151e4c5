/** Random options and calls, the same again for the same seed. */
import type { AnyLogger, Options } from './pino-lines.fixture.ts';

/** A small generator of numbers (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }
}

const KEYS = [
  'a',
  'b',
  'c',
  'id',
  'user',
  'token',
  'err',
  'req',
  'msg',
  'x-y',
  '0',
  'é',
  'q"',
  'toString',
  'method',
  'headers',
  'level',
];
const PATHS = [
  'a',
  'b',
  'a.b',
  'a.*',
  '*.token',
  'user.id',
  'b[*].c',
  'b[0]',
  'c.a.b',
  '["x-y"]',
  'err.message',
  'msg',
  'id',
  'a.b.c',
  'user["x-y"]',
];
const PIECES = [
  'a',
  'text',
  ' ',
  '"',
  '\\',
  '\n',
  '\u001b',
  '\u0000',
  'é',
  '\u{1f600}',
  '\u2028',
  '%s',
  '%d',
  '%',
  '\u007f',
  'x'.repeat(30),
];

function randomText(random: Random): string {
  let text = '';
  for (let parts = random.below(5); parts > 0; parts--) text += random.of(PIECES);
  return text;
}

class Told {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toJSON(): string {
    return this.#text;
  }
}

const LEAVES: ((random: Random) => unknown)[] = [
  randomText,
  randomText,
  randomText,
  (random) => random.below(1_000_000),
  (random) => random.next() * 1e6 - 5e5,
  (random) => random.of([Number.NaN, -0, Number.POSITIVE_INFINITY, 1e300]),
  (random) => random.next() < 0.5,
  () => null,
  () => undefined,
  (random) => new Date(random.below(2 ** 31) * 1000),
  () => 12345678901234567890n,
  () => /x/,
  () => new Map([[1, 2]]),
  (random) => new Error(randomText(random)),
  (random) => new Told(randomText(random)),
  () => Buffer.from('ab'),
  () => new Uint8Array(3),
  () => Symbol.iterator,
];

/** Any value; circles now and then. */
export function randomValue(random: Random, depth: number, above: readonly unknown[] = []): unknown {
  const kind = random.next();
  if (depth <= 0 || kind < 0.6) return random.of(LEAVES)(random);
  if (above.length > 0 && kind < 0.62) return random.of(above);
  if (kind < 0.75) {
    const list: unknown[] = [];
    for (let items = random.below(6); items > 0; items--) list.push(randomValue(random, depth - 1, [...above, list]));
    return list;
  }
  return randomObject(random, depth, above);
}

/** Any plain object. */
export function randomObject(random: Random, depth: number, above: readonly unknown[] = []): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (let members = random.below(7); members > 0; members--) {
    object[random.of(KEYS)] = randomValue(random, depth - 1, [...above, object]);
  }
  return object;
}

function picked<Item>(random: Random, items: readonly Item[], chance: number): Item[] {
  return items.filter(() => random.next() < chance);
}

const OPTIONS: ((random: Random) => Options)[] = [
  (random) => ({ redact: picked(random, PATHS, 0.3) }),
  (random) => ({
    redact: {
      paths: picked(
        random,
        PATHS.filter((path) => path !== 'msg'),
        0.3,
      ),
      remove: true,
    },
  }),
  (random) => ({
    redact: {
      // Paths that overlap are censored more than once by pino, and the censor is told what it made before.
      paths: picked(random, ['a', 'user.id', 'b[*].c', 'c.a.b', '["x-y"]', 'err.message', 'id'], 0.3),
      censor: (value: unknown, path: string[]) => `${typeof value === 'string'}@${path.join('.')}`,
    },
  }),
  () => ({
    serializers: {
      a: (value: unknown) => ({ was: typeof value }),
      id: () => null,
      user: (value: unknown) => value,
    },
  }),
  () => ({ mixin: (_object: object, level: number) => ({ mixed: level, a: 'mixin' }) }),
  () => ({ formatters: { log: (object: object) => ({ ...object, formatted: true }) } }),
  () => ({
    formatters: {
      level: (label: string) => ({ level: label }),
      bindings: (bindings: object) => ({ ...bindings, bound: 1 }),
    },
  }),
  (random) => ({ nestedKey: random.of(['payload', 'a']) }),
  (random) => ({ messageKey: random.of(['message', 'a', 'm"']) }),
  (random) => ({ errorKey: random.of(['error', 'e']) }),
  (random) => ({ depthLimit: 1 + random.below(4), edgeLimit: 50 + random.below(100) }),
  (random) => ({ customLevels: { audit: 35, whisper: 5 }, level: random.of(['trace', 'whisper', 'audit', 'error']) }),
  (random) => ({ name: randomText(random), base: random.of([null, {}, { pid: 1 }]) }),
];

/** Some options of a logger. */
export function randomOptions(random: Random): Options {
  return Object.assign({}, ...picked(random, OPTIONS, 0.15).map((make) => make(random)));
}

/** A call with its arguments drawn: the same for whichever logger. */
export function randomCall(random: Random): (log: AnyLogger) => void {
  const level = random.of(['trace', 'debug', 'info', 'warn', 'error', 'fatal']);
  const bindings =
    random.next() < 0.3 ? [randomObject(random, 2), ...(random.next() < 0.5 ? [randomObject(random, 2)] : [])] : [];
  const args = randomArguments(random);
  return (log) => {
    let logger = log;
    for (const each of bindings) logger = logger.child(each);
    logger[level](...args);
  };
}

function randomArguments(random: Random): unknown[] {
  const values = Array.from({ length: random.below(3) }, () => random.of(FORMATTED)(random));
  const kind = random.next();
  if (kind < 0.4) return [randomObject(random, 4), ...(random.next() < 0.7 ? [randomText(random), ...values] : [])];
  if (kind < 0.5)
    return [
      Object.assign(new Error(randomText(random)), randomObject(random, 2)),
      ...(random.next() < 0.5 ? [randomText(random)] : []),
    ];
  return [randomText(random), ...values];
}

const FORMATTED: ((random: Random) => unknown)[] = [
  randomText,
  (random) => random.below(99),
  (random) => randomObject(random, 2),
  () => null,
  () => undefined,
];
