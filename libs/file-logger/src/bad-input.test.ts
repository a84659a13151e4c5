import { describe, expect, test } from '@jest/globals';
import { ArraySink } from './array-sink.fixture.ts';
import { fileLogger } from './file-logger.ts';
import type { Logger } from './logger.ts';
import type { LineOptions } from './options.ts';

type Members = Record<string, unknown>;

function nested(levels: number, make: (inner: unknown) => unknown): unknown {
  let value: unknown = 'bottom';
  for (let level = 0; level < levels; level++) value = make(value);
  return value;
}

const fails = (): never => {
  throw new Error('no');
};
const hostile = new Proxy(
  {},
  { get: fails, has: fails, ownKeys: fails, getPrototypeOf: fails, getOwnPropertyDescriptor: fails },
);
const lists = new Proxy({}, { ownKeys: fails });
const revoked = Proxy.revocable({}, {});
revoked.revoke();

/** Each shared member twice: a few dozen objects, 2^40 paths. */
function diamond(): Members {
  let object: Members = { end: 1 };
  for (let level = 0; level < 40; level++) object = { left: object, right: object };
  return object;
}

function circle(): Members {
  const object: Members = { a: 1 };
  object.list = [object];
  return object;
}

const endless = { toJSON: (): unknown => ({ again: endless, copy: { toJSON: () => ({ ...endless }) } }) };
const throwing = Object.defineProperty({ kept: 'yes' }, 'bad', { enumerable: true, get: fails });

/** A name, a value, and what its line must say. */
const VALUES: [name: string, value: unknown, said?: string][] = [
  ['a circle', circle(), '[Circular]'],
  ['a Map of circles', new Map([[1, circle()]])],
  ['100,000 levels of objects', nested(100_000, (inner) => ({ inner })), '[Object]'],
  ['100,000 levels of arrays', nested(100_000, (inner) => [inner]), '[Array]'],
  ['1,000 levels', nested(1_000, (inner) => ({ inner })), 'bottom'],
  ['a sparse array of 4 billion items', new Array(4_294_967_295), 'items not stringified'],
  ['a getter that throws', throwing, '[Throws: no]'],
  [
    'a getter that throws nothing',
    Object.defineProperty({}, 'bad', {
      enumerable: true,
      get: () => {
        throw undefined;
      },
    }),
    '[Throws: undefined]',
  ],
  [
    'a getter that throws what has no text',
    Object.defineProperty({}, 'bad', {
      enumerable: true,
      get: () => {
        throw Object.create(null);
      },
    }),
    'no text',
  ],
  ['a toJSON that throws', { toJSON: fails }, '[Throws: no]'],
  ['a toJSON that never ends', endless],
  [
    'a toJSON that answers itself',
    {
      a: 1,
      toJSON() {
        return this;
      },
    },
  ],
  ['a proxy that throws at everything', hostile, '[Throws: no]'],
  ['a proxy that throws for its keys', lists, '[Throws: no]'],
  ['a revoked proxy', revoked.proxy, 'revoked'],
  [
    'a proxy of an array with any length',
    new Proxy([], { get: (_target, key) => (key === 'length' ? 2 ** 40 : 'x') }),
    'items not stringified',
  ],
  ['an error whose stack throws', Object.defineProperty(new Error('x'), 'stack', { get: fails })],
  ['an error whose message throws', Object.defineProperty(new Error('x'), 'message', { get: fails })],
  [
    'an error with itself as its cause',
    Object.assign(new Error('x'), {
      get cause(): unknown {
        return this;
      },
    }),
  ],
  ['1,000 causes', nested(1_000, (cause) => new Error('e', { cause }))],
  ['lone surrogates', '\ud800x\udc00', '\\ud800x\\udc00'],
  ['lone surrogates in a long text', `${'y'.repeat(100)}\udfff`, '\\udfff'],
  ['a lone surrogate as a key', { '\ud800': 1 }, '\\ud800'],
  ['a terminal escape', '\u001b[2J\u001b]0;title\u0007', '\\u001b[2J'],
  ['newlines', 'a\nb\r\nc\u2028d', 'a\\nb\\r\\nc'],
  ['a date that is none', new Date(Number.NaN)],
  ['a BigInt beside other things', { big: 2n ** 70n, kept: 'yes' }, '1180591620717411303424'],
  ['a module', import.meta],
  ['the global object', globalThis],
  ['a symbol', Symbol('s')],
  ['a class', class Nothing {}],
];

/** The same, with as little work as can be. */
const HUGE: typeof VALUES = [
  ['a string of 10 MB', 'x'.repeat(10_000_000), 'x'.repeat(10_000_000)],
  ['a string of 10 MB with escapes', '"\n'.repeat(5_000_000), '\\"\\n\\"\\n'],
  [
    'a million keys',
    Object.fromEntries(Array.from({ length: 1_000_000 }, (_, at) => [`key${at}`, at])),
    '"key999999":999999',
  ],
  ['a million items', new Array(1_000_000).fill(1), '1,1,1,1'],
  ['a Buffer of 64 MB', Buffer.alloc(64_000_000, 7), 'items not stringified'],
  ['a Float64Array of 64 MB', new Float64Array(8_000_000), 'items not stringified'],
  ['2^40 paths to one object', diamond()],
];

const OPTIONS: [name: string, options: LineOptions][] = [
  ['plain', {}],
  ['redact', { redact: ['secret', 'value.bad', 'value.inner.inner', '*.deep'] }],
  ['nestedKey', { nestedKey: 'payload' }],
  ['mixin', { mixin: () => ({ mixed: 1 }) }],
  ['a serializer that reads all', { serializers: { value: (value: object) => ({ copy: value }) } }],
];

function onlyLine(options: LineOptions, call: (log: Logger) => void): string {
  const sink = new ArraySink();
  call(fileLogger({ base: null, ...options }, sink));
  expect(sink.lines).toHaveLength(1);
  const line = sink.lines[0]!;
  expect(line.indexOf('\n')).toBe(line.length - 1);
  JSON.parse(line);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  expect(/[\u0000-\u0009\u000b-\u001f]/.test(line)).toBe(false);
  expect(line.isWellFormed()).toBe(true);
  return line;
}

describe('any value makes one line of JSON, and no call throws', () => {
  for (const [optionsName, options] of OPTIONS) {
    test.each(VALUES)(`${optionsName}: %s`, (_name, value, said = '') => {
      expectMember(options, value, optionsName === 'plain' ? said : '');
      onlyLine(options, (log) => log.info(value, 'done'));
      onlyLine(options, (log) => log.info('%j %s %d %o', value, value, value, value));
      onlyLine(options, (log) => log.info({}, value));
      onlyLine(options, (log) => log.child({ value }).info('done'));
    });
  }

  test.each(HUGE)('huge: %s', (name, value, said = '') => {
    expectMember({}, value, said);
    onlyLine({}, (log) => log.info(value, 'done'));
    if (!name.startsWith('a million')) onlyLine({ redact: ['value.secret'] }, (log) => log.info({ value }));
  });
});

function expectMember(options: LineOptions, value: unknown, said: string): void {
  const line = onlyLine(options, (log) => log.info({ value, kept: 'yes' }, 'done'));
  for (const part of ['"msg":"done"', '"kept":"yes"', said])
    expect(line.includes(part) || line.slice(0, 500)).toBe(true);
}

describe('what throws in the program is said in the line', () => {
  const cases: [string, LineOptions, string][] = [
    ['a serializer', { serializers: { a: fails } }, '"a":"[The serializer threw: no]"'],
    ['a mixin', { mixin: fails }, '"logErrors":["mixin: no"]'],
    ['a formatter', { formatters: { log: fails } }, '"logErrors":["formatters.log: no"]'],
    ['a serializer of the message', { serializers: { msg: fails } }, '"logErrors":["msg: no"]'],
    ['a censor', { redact: { paths: ['a'], censor: fails } }, '"a":"[Redacted: the censor threw: no]"'],
    ['a clock', { timestamp: fails }, '"timeError":"no"'],
    ['trace ids', { traceIds: fails }, '"traceError":"no"'],
    ['a hook', { hooks: { logMethod: fails } }, '"logErrors":["hooks.logMethod: no"]'],
    ['a hook of lines', { hooks: { streamWrite: fails } }, '"a":1'],
  ];
  test.each(cases)('%s', (_name, options, said) => {
    const line = onlyLine(options, (log) => log.info({ a: 1, b: 2 }, 'm'));
    expect(line).toContain(said);
    if (!said.includes('msg: no') && !said.includes('hooks')) expect(line).toContain('"b":2');
  });

  test('a member that throws leaves the others as they are', () => {
    const line = onlyLine({}, (log) => log.info({ first: 1, value: throwing, last: { z: 1, a: 2 } }, 'm'));
    expect(line).toContain('"first":1,"value":{"bad":"[Throws: no]","kept":"yes"},"last":{"z":1,"a":2},"msg":"m"');
  });

  test('a value that must be censored is not shown, whatever fails beside it', () => {
    const secret = {
      a: {
        password: 'hunter2',
        big: 1n,
        get bad(): string {
          throw new Error('no');
        },
        self: {} as unknown,
      },
    };
    secret.a.self = secret.a;
    for (const censor of ['X', fails, () => fails]) {
      const redact = { paths: ['a.password', '*.self'], censor };
      expect(onlyLine({ redact }, (log) => log.info(secret))).not.toContain('hunter2');
      expect(onlyLine({ redact }, (log) => log.child(secret).info('m'))).not.toContain('hunter2');
      expect(onlyLine({ redact }, (log) => log.info({ a: { toJSON: () => secret.a } }))).not.toContain('hunter2');
    }
  });

  test('a line beyond the longest string says so', () => {
    const half = 'x'.repeat(2 ** 28);
    const line = onlyLine({}, (log) => log.info({ a: half, b: half, c: half }, 'm'));
    expect(line).toContain('could not be written');
  });
});

test('a child may be made of anything', () => {
  for (const bindings of [throwing, hostile, revoked.proxy, JSON.parse('{"__proto__":{"a":1},"b":1}')]) {
    onlyLine({}, (log) => log.child(bindings as Record<string, unknown>).info('m'));
  }
  expect(onlyLine({}, (log) => log.child(throwing).info('m'))).toContain('"bad":"[Throws: no]"');
});

test('a getter that logs makes a line of its own, and does not disturb the one at hand', () => {
  const sink = new ArraySink();
  const log = fileLogger({ base: null, timestamp: false }, sink);
  const object = {
    err: new Error('outer'),
    get a(): string {
      log.info({ err: { message: 'inner' } });
      return 'a';
    },
    z: 1,
  };
  log.info(object);
  expect(sink.lines.map((line) => JSON.parse(line).msg)).toEqual(['inner', 'outer']);
  expect(JSON.parse(sink.lines[1]!)).toMatchObject({ a: 'a', z: 1 });
});

test('keys that come from data do not stay in memory', () => {
  const log = fileLogger({ base: null }, { ...new ArraySink(), write() {}, flushSync: () => true } as never);
  const made = () => Object.fromEntries(Array.from({ length: 2_000 }, () => [`${Math.random()}`, 1]));
  for (let call = 0; call < 20; call++) log.info({ value: made() });
  (globalThis as { gc?: () => void }).gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let call = 0; call < 200; call++) log.info(made());
  (globalThis as { gc?: () => void }).gc?.();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(150_000_000);
});
