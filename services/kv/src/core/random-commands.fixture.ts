/** Commands of every kind at random: a few buckets, few keys, so that they meet one another. */
import type { SeededRandom } from '@plinth/testkit';
import type { Check, Command, CommandRecord, Condition, Life, Operation } from './command.ts';
import { bytes, START_MS, settingsOf } from './machine.fixture.ts';

const KEYS = ['a', 'a/b', 'a/b\x01', 'a\xff', 'b', 'c', 'count', 'json', '\x01', '\xff\xff'];
const NAMES = ['one', 'two', 'three'];
const BUCKETS = 5;

export class RandomCommands {
  readonly #random: SeededRandom;
  #timeMs = START_MS;

  readonly #hasEnds: boolean;

  /** @param hasEnds - False: no life ends at a time that may have passed already. */
  constructor(random: SeededRandom, { hasEnds = true } = {}) {
    this.#random = random;
    this.#hasEnds = hasEnds;
  }

  /** Time mostly goes on, and sometimes back. */
  record(): CommandRecord {
    const { int } = this.#random;
    this.#timeMs += int(8) === 0 ? -int(2_000) : int(400);
    if (int(200) === 0) this.#timeMs += 24 * 3_600_000;
    return { timeMs: this.#timeMs, commands: Array.from({ length: 1 + int(5) }, () => this.command()) };
  }

  command(): Command {
    const { int, pick } = this.#random;
    const bucket = 1 + int(BUCKETS);
    const once = int(6) === 0 ? { id: `id${int(20)}`, fingerprint: `f${int(2)}` } : undefined;
    const roll = int(100);
    if (roll < 60) return { do: 'operation', bucket, operation: this.operation(), once };
    if (roll < 80) return { ...this.#transaction(), bucket, once };
    if (roll < 86) return { do: 'defineBucket', name: pick(NAMES), settings: this.#settings() };
    if (roll < 87) return { do: 'dropBucket', bucket };
    if (roll < 91) return { do: 'sweepBucket', bucket, limit: 1 + int(10) };
    if (roll < 96) return { do: 'compact', bucket, revision: int(2_000), limit: 1 + int(20) };
    if (roll < 99) return { do: 'tick' };
    return { do: 'reserve', revision: int(1_000), bucket: int(3), forgetPast: int(4) === 0 };
  }

  #settings() {
    const { int } = this.#random;
    return settingsOf({
      ...(int(2) === 0 ? { ttlMs: 500 + int(5_000) } : {}),
      ...(int(3) === 0 ? { keysMax: 3 + int(6) } : {}),
      ...(int(3) === 0 ? { bytesMax: 20 + int(200) } : {}),
      historyCount: 1 + int(4),
      valueBytesMax: 10 + int(60),
    });
  }

  #transaction(): Omit<Command & { do: 'transaction' }, 'bucket'> {
    const some = <T>(make: () => T, most: number) => Array.from({ length: this.#random.int(most) }, make);
    return {
      do: 'transaction',
      checks: some(() => this.#check(), 3),
      onTrue: some(() => this.operation(), 6),
      onFalse: some(() => this.operation(), 3),
    };
  }

  #check(): Check {
    const { int, pick } = this.#random;
    const at = { key: pick(KEYS), op: pick(['=', '!=', '<', '<=', '>', '>='] as const) };
    if (int(4) === 0) return { ...at, target: 'value', wanted: bytes(pick(['', '1', 'x'])) };
    if (int(4) === 0) return { ...at, target: 'exists', wanted: int(2) === 0 };
    return { ...at, target: pick(['revision', 'createRevision', 'version'] as const), wanted: int(50) };
  }

  operation(): Operation {
    const { int, pick } = this.#random;
    const key = pick(KEYS);
    const on = int(8) === 0 ? { key, if: this.#condition() } : { key };
    switch (int(12)) {
      case 0:
        return { op: 'get', key };
      case 1:
      case 2:
        return { op: 'delete', ...on };
      case 3:
        return { op: 'touch', ...on, life: this.#life() };
      case 4:
      case 5:
        return { op: 'incr', ...on, key: 'count', by: int(20) - 8, initial: int(3), max: 90, life: this.#life() };
      case 6:
        return { op: 'patch', ...on, key: 'json', patch: this.#json(), life: this.#life() };
      case 7:
        return { op: 'deleteRange', start: key, end: int(2) === 0 ? pick(KEYS) : undefined };
      default:
        return {
          op: 'put',
          ...on,
          value: bytes('v'.repeat(int(40))),
          life: this.#life(),
          contentType: pick(['', 'x/y']),
        };
    }
  }

  #condition(): Condition {
    const { int } = this.#random;
    if (int(2) === 0) return { match: int(2) === 0 ? '*' : [int(500)] };
    return { noneMatch: int(2) === 0 ? '*' : [int(500)] };
  }

  #life(): Life | undefined {
    const { int } = this.#random;
    if (int(2) === 0) return undefined;
    return this.#hasEnds && int(3) === 0
      ? { expiresAtMs: this.#timeMs + int(3_000) - 500 }
      : { ttlMs: 100 + int(2_000) };
  }

  #json(): unknown {
    const texts = ['{"a":1}', '{"a":null}', '{"a":{"b":[1]}}', '{"__proto__":{"x":1}}', '{"s":"\\udc00"}', '7', 'null'];
    return JSON.parse(this.#random.pick(texts));
  }
}
