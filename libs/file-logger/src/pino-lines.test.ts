/**
 * The same calls to pino and to us make the same lines, byte by byte.
 *
 * What differs on purpose, each with a test of its own below or in bad-input.test.ts:
 * 1. A call never throws. Where a getter, `toJSON`, a serializer, a censor, a mixin, a formatter or a hook throws, pino
 *    throws or gives up the whole member; here the line says it in the place of the value, or in `logErrors`.
 * 2. A line is always JSON: for a symbol as the message, or a message that `redact` removes, pino writes
 *    `"msg":undefined`; here there is no message.
 * 3. Lone surrogates are written as escapes (`\ud800`) everywhere; pino writes U+FFFD for them outside nested objects.
 * 4. Arrays beyond `edgeLimit` next to a circle: all that is left out is counted; pino counts one less, or none.
 * 5. The object that a mixin returns is not changed, and it may return nothing.
 * 6. A `msgPrefix` is text, not part of the format; values left over after a message that is an object change nothing.
 * 7. A censor is told the member's real key for a wildcard in the first place, not a symbol.
 * 8. `redact` censors what is written: also what `toJSON` returned, and nothing else: no member is written as censored
 *    that would not be written at all. Paths may not hold spaces or empty names. A censor is called once for each value,
 *    also where paths overlap, and is given the value itself, also NaN.
 * 9. Loggers have the members of an EventEmitter that concern `level-change` only, and `child` does not emit it.
 * 10. Where a circle leads back to a censored member, it is "[Circular]" at once; pino shows its members, uncensored.
 * 11. A custom level with a standard name has the custom number in its lines; pino's keep the standard one.
 * 12. `info(null, undefined)` is `info(null)`.
 * 13. A child without a level of its own follows its parent; once the child gets one, its own children made before keep
 *     following the first.
 * 14. Bounds: nesting beyond some 1,000 levels, more than 2,000,000 members in one value, and typed arrays beyond 64 KiB
 *    are written within `depthLimit` and `edgeLimit`; `%s` of an array shows 10,000 items. The rest is counted in the line.
 */
import { describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { ArraySink } from './array-sink.fixture.ts';
import { fileLogger } from './file-logger.ts';
import { type AnyLogger, ARGUMENTS, CASES, FORMATS, type Options } from './pino-lines.fixture.ts';
import { Random, randomCall, randomOptions } from './random-calls.fixture.ts';

const FROZEN = { timestamp: () => ',"time":1795473358038', base: { pid: 7, hostname: 'h' } };

function linesOf(options: Options, calls: (log: AnyLogger) => void): { ours: string[]; theirs: string[] } {
  const sink = new ArraySink();
  const theirs: string[] = [];
  calls(fileLogger({ ...FROZEN, ...options }, sink));
  calls(pino({ ...FROZEN, ...options }, { write: (line) => theirs.push(line) }));
  return { ours: sink.lines, theirs };
}

function expectSame(options: Options, calls: (log: AnyLogger) => void, hint?: string): void {
  const { ours, theirs } = linesOf(options, calls);
  if (JSON.stringify(ours) !== JSON.stringify(theirs)) expect({ hint, lines: ours }).toEqual({ hint, lines: theirs });
  expect(ours).toEqual(theirs);
}

describe('lines are those of pino', () => {
  test.each(ARGUMENTS.map((args, at) => [at, args] as const))('for arguments %i', (_at, args) => {
    expectSame({}, (log) => log.info(...args));
    expectSame({}, (log) => log.child({ child: 1 }).error(...args));
  });

  test.each(FORMATS.map((args, at) => [`${at} ${String(args[0])}`, args] as const))('for format %j', (_name, args) => {
    expectSame({}, (log) => log.info(...args));
    expectSame({}, (log) => log.info({ a: 1 }, ...args));
    expectSame({}, (log) => log.info(undefined, ...args));
  });

  test.each(CASES)('for %s', (_name, options, calls) => expectSame(options, calls));

  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  test(`for 12,000 random calls (SEED=${seed})`, () => {
    const random = new Random(seed);
    let compared = 0;
    for (let round = 0; round < 1200; round++) {
      const options = randomOptions(random);
      for (let call = 0; call < 10; call++)
        compared += compareCall(options, randomCall(random), `SEED=${seed}, round ${round}`);
    }
    expect(compared).toBeGreaterThan(11_000);
  });
});

/** @returns 1 if pino made a line that can be compared: it did not throw, give up, or write what is no JSON. */
function compareCall(options: Options, call: (log: AnyLogger) => void, hint: string): number {
  const sink = new ArraySink();
  call(fileLogger({ ...FROZEN, ...options }, sink));
  for (const line of sink.lines) JSON.parse(line);
  const theirs: string[] = [];
  try {
    call(pino({ ...FROZEN, ...options }, { write: (line) => theirs.push(line) }));
    for (const line of theirs) JSON.parse(line);
  } catch {
    return 0;
  }
  if (theirs.some((line) => /\[unable to serialize|"toJSON":/.test(line))) return 0;
  if (options.redact !== undefined && sink.lines.some((line) => line.includes('[Circular]'))) return 0;
  if (sink.lines.join('') !== theirs.join('')) expect({ hint, lines: sink.lines }).toEqual({ hint, lines: theirs });
  return 1;
}
