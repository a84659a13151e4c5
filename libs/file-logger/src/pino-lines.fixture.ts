/** Options and calls whose lines must be pino's, byte by byte. `pino-lines.test.ts` lists what differs on purpose. */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';

// biome-ignore lint/suspicious/noExplicitAny: the same calls go to two loggers with types of their own.
export type AnyLogger = any;
export type Options = Record<string, unknown>;
/** A name, options, calls. */
export type Case = [name: string, options: Options, calls: (log: AnyLogger) => void];

function circle(): Record<string, unknown> {
  const circle: Record<string, unknown> = { z: 1, a: 'x' };
  circle.self = circle;
  return circle;
}

function chain(levels: number): Record<string, unknown> {
  const top: Record<string, unknown> = {};
  let bottom = top;
  for (let level = 0; level < levels; level++) {
    const next = { level, list: [] };
    bottom.next = next;
    bottom = next;
  }
  bottom.top = top;
  return top;
}

const wide = (members: number) => {
  const object: Record<string, unknown> = Object.fromEntries(
    Array.from({ length: members }, (_, at) => [`k${at}`, at]),
  );
  object.self = object;
  return object;
};

class Point {
  x = 1;
  get sum(): number {
    return this.x;
  }
}
class Named extends Error {
  override name = 'Zed';
}
const boom = new Error('boom');
const caused = new Error('outer', { cause: new TypeError('inner', { cause: new Error('root') }) });
const request = new IncomingMessage(Object.assign(new Socket(), {}));
request.method = 'GET';
request.url = '/u?q=1';
const response = new ServerResponse(request);
response.setHeader('x-a', 'b');

/** First arguments: what a call is told. */
export const ARGUMENTS: unknown[][] = [
  ['hi'],
  [],
  [undefined],
  [null],
  [null, 'm'],
  [undefined, 'm'],
  [undefined, undefined],
  [undefined, null],
  [undefined, { a: 1 }],
  [null, '%s', 'x'],
  [5],
  [5, 'm'],
  [-0],
  [Number.NaN],
  [true],
  [function named() {}],
  [() => 1, 'm'],
  [5n],
  [5n, 'm'],
  [[1, 2]],
  [['x'], 'm'],
  [{ a: 1 }, undefined],
  [{ a: 1 }, null],
  [{ a: 1 }, 7],
  [{ a: 1 }, { b: 2 }],
  [{ a: 1 }, 9n],
  [{ a: 1 }, () => 1],
  [{ a: 1 }, false],
  [{ a: 1 }, Number.NaN],
  [{ msg: 'q', a: 1 }],
  [{ msg: 'q', a: 1 }, 'm'],
  [{ msg: undefined, a: 1 }, 'm'],
  [{ a: 1 }, undefined, 'x'],
  [{ a: 1 }, 5, 'x'],
  [{}],
  [{}, ''],
  [''],
  [{ u: undefined, f() {}, n: null, nan: Number.NaN, inf: Number.NEGATIVE_INFINITY, z: -0, big: 12n, d: new Date(0) }],
  [
    {
      s: Symbol('s'),
      m: new Map([[1, 2]]),
      set: new Set([1]),
      re: /x/,
      buf: Buffer.from('a'),
      u8: new Uint8Array([1, 2]),
    },
  ],
  [{ b: new Boolean(false), s: new String('x'), n: new Number(4), bad: new Date(Number.NaN), big: Object(5n) }],
  [
    {
      o: {
        u: undefined,
        f() {},
        s: Symbol('a'),
        n: null,
        nan: Number.NaN,
        z: -0,
        d: new Date(0),
        a: [undefined, () => 1, Symbol('x'), Number.NaN],
      },
    },
  ],
  [{ o: { b: new Boolean(false), s: new String('x"'), n: new Number(Number.NaN), a: [new String('y')] } }],
  [{ o: { big: 1n, u: undefined, b: 'x' } }],
  [{ o: [1n, { z: 1, a: 2 }] }],
  [{ a: { toJSON: () => 'X' }, b: { toJSON: () => undefined }, c: { toJSON: (key: string) => `<${key}>` } }],
  [
    {
      o: {
        a: { toJSON: () => 5n },
        l: [{ toJSON: (key: string) => `<${key}>` }],
        p: { toJSON: (key: string) => `<${key}>` },
      },
    },
  ],
  [{ a: 1, toJSON: () => ({ z: 1 }) }],
  [circle()],
  [{ x: { y: circle() } }],
  [{ d: chain(10) }],
  [{ d: chain(3) }],
  [{ d: wide(99) }],
  [{ d: wide(100) }],
  [{ d: wide(120) }],
  [{ text: 'a\n\t\u0000\u001b[31m\u007f\u0085\u2028"\\' }, 'a\n\t\u0000\u001b[31m\u007f\u0085\u2028"\\'],
  [{ 'a"b\n': 1, '': 2, ключ: 3 }],
  [{ a: `${'x'.repeat(50)}"` }, `${'y'.repeat(500)}\n`],
  ['\u{1f600} é ключ'],
  [{ a: '\u{1f600}'.repeat(30), b: { c: 'é'.repeat(30) } }],
  [boom],
  [boom, 'm'],
  [boom, undefined],
  [boom, null],
  [boom, 'x %s', 'y'],
  [{ err: boom }],
  [{ err: boom }, 'm'],
  [{ error: boom }],
  [{ err: 's' }],
  [{ err: { message: 'mm' } }],
  [{ err: { message: 5 } }],
  [{ err: null }],
  [{ err: undefined, a: 1 }],
  [{ err: () => 1 }],
  [{ err: { message: '' } }],
  [{ err: {} }],
  [caused],
  [{ err: caused, a: 1 }],
  [new AggregateError([boom, 5, caused], 'many')],
  [Object.assign(new TypeError('t'), { code: 'E', nested: boom, list: [boom] })],
  [new Error('')],
  [new Named('n')],
  [Object.assign(new Error('big'), { big: 1n })],
  [Object.assign(new Error('e'), { message: 5 })],
  [{ a: { err: boom } }],
  [Object.create({ a: 1 })],
  [Object.assign(Object.create(null), { a: 1, n: Object.create(null) })],
  [{ [Symbol('k')]: 1, a: 1 }],
  [Object.defineProperty({ a: 1 }, 'hidden', { value: 1 })],
  [new Map([[1, 2]])],
  [new Date(0)],
  [{ b: 1, 2: 1, 1: 1 }],
  [JSON.parse('{"__proto__":{"a":1},"b":{"__proto__":5}}')],
  [new Point()],
  [{ p: new Point() }],
  // biome-ignore lint/suspicious/noSparseArray: holes are what is tested.
  [{ a: [, 1], b: [], c: {}, d: [[]], e: [{}] }],
  [request],
  [request, 'm'],
  [response],
  [{ req: request, res: response }, 'm'],
  [{ method: 'GET', headers: { a: 1 }, socket: { x: 1 }, z: 1 }],
  [{ setHeader() {}, a: 1 }],
  [{ method: 'G', headers: {} }],
  [{ method: 'G', headers: {}, socket: null }],
  [{ a: 1.5, b: 1e21, c: 1e-7, d: 2 ** 53, e: -1, f: 0.1 + 0.2 }],
  [{ hasOwnProperty: 1, constructor: 2, toString: 3 }],
];

/** Formats with their values. */
export const FORMATS: unknown[][] = [
  ['a %s', 'b', 'c'],
  ['a %d %i %f %d|', '5', 1.7, '2.5x', 'x'],
  ['%d|%d|%d|%d|%d', '', '0x10', ' 12 ', true, '1e3'],
  ['%i|%i|%i|%i', '0x10', ' 12 ', true, '1e3'],
  ['a %j %o %O', { a: 1 }, { b: [1] }, { c: 'x' }],
  ['a %% %s', 'x'],
  ['a %%'],
  ['a %%', 'x'],
  ['a %s'],
  ['a %s', { a: 1 }],
  ['%d %d %d', null, undefined, 5n],
  ['%i %f', null, undefined],
  ['%j', undefined],
  ['%j %s', undefined, 'z'],
  ['%o', 's'],
  ['%o %j', 5, 'str'],
  ['%o %j', function foo() {}, () => 1],
  ['%j', circle()],
  ['%x %s', 'a', 'b'],
  ['%c %s', 'css', 'b'],
  ['%d %i', 1e21, 1e21],
  ['%i %i', '12px', -3.9],
  ['%f %f', '1.5', Number.NaN],
  ['%s %d %i %f', -0, -0, -0, -0],
  ['%j', { a: 5n }],
  ['abc %', 'x'],
  ['%o %j', new Error('x'), new Error('y')],
  ['%s', 5n],
  ['%s%s%s', 'a'],
  ['100% %s', 'a'],
  ['%%s %s', 'a', 'b'],
  ['%%%s', 'a'],
  ['%i %d', Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  ['%j|%o', Symbol('x'), Symbol('y')],
  ['%o', 'it\'s " x'],
  ['%o', ['a']],
  ['%o %O %j', null, null, null],
  ['%o', undefined],
  ['%o', true],
  ['%d', {}],
  ['%d', new Date(5)],
  ['%j', new Date(5)],
  ['%s %s', null, undefined],
  ['%s', Symbol('z')],
  ['%s', [1, [2, { a: 1 }]]],
  ['%s', new Error('boo')],
  ['% s %s', 'a'],
  ['%', 'a'],
  ['%%', 'a'],
  ['%%%', 'a'],
  ['%%%%', 'a'],
  ['%s', ''],
  ['%s', 'a%sb', 'c'],
  ['no place', 'a'],
  ['%S %D', 'a'],
  ['\n%s\t', '\u001b[0m'],
];

const doubled = (value: unknown) => `<${String(value)}>`;
const mark = (value: unknown, path: string[]) => `${typeof value}:${path.join('/')}`;
const secrets = {
  a: 1,
  b: { c: 2, d: 3 },
  d: [{ e: 1, f: 2 }, { e: 3 }],
  f: { q: 1, r: 2 },
  g: { 'x-y': 1, z: 2 },
  h: [1, 2],
  k: { w: 1, v: 2 },
};
const odd = { a: undefined, b: null, d: 5, f: 'str', g: 1, h: 'q' };

/** Everything that options change. */
export const CASES: Case[] = [
  ['a name', { name: 'n' }, (log) => log.info('x')],
  ['a name beside base', { name: 'q', base: { name: 'z', x: 1 } }, (log) => log.info('x')],
  ['no base', { base: null }, (log) => log.info({ a: 1 }, 'x')],
  ['base undefined', { base: undefined }, (log) => log.info('x')],
  ['an empty base', { base: {} }, (log) => log.info({ a: 1 }, 'x')],
  ['no time', { timestamp: false }, (log) => log.info('x')],
  ['nothing but the level', { timestamp: false, base: null }, (log) => log.info({ a: 1 })],
  ['an empty time', { timestamp: () => '' }, (log) => log.info('x')],
  [
    'all levels',
    { level: 'trace' },
    (log) =>
      ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].forEach((level) => {
        log[level]({ a: 1 }, level);
      }),
  ],
  [
    'levels below are left out',
    {},
    (log) => {
      log.debug('no');
      log.level = 'debug';
      log.debug('yes');
      log.level = 'silent';
      log.fatal('no');
    },
  ],
  ['disabled', { enabled: false }, (log) => log.fatal('x')],
  [
    'a child with all kinds of bindings',
    {},
    (log) =>
      log
        .child({
          a: 1,
          b: 'x',
          c: { d: 1 },
          u: undefined,
          f() {},
          n: null,
          e: boom,
          nan: Number.NaN,
          big: 5n,
          d: new Date(0),
        })
        .info({ z: 1 }, 'x'),
  ],
  ['a child of a child', {}, (log) => log.child({ a: 1 }).child({ a: 2, b: 3 }).info({ a: 3 }, 'x')],
  ['an empty child', {}, (log) => log.child({}).info('x')],
  [
    'a child of a string and an array',
    {},
    (log) => {
      log.child('x').info('y');
      log.child([1]).info('y');
    },
  ],
  ['reserved names in bindings', {}, (log) => log.child({ level: 'debug', a: 1 }).info('y')],
  ['an error in bindings', {}, (log) => log.child({ err: boom }).info('m')],
  [
    'a child with serializers',
    { serializers: { a: doubled, b: doubled } },
    (log) => {
      const child = log.child({ a: 1 }, { serializers: { a: (v: unknown) => `c${v}` } });
      child.info({ a: 2, b: 3 });
      log.info({ a: 2 });
      child.child({ b: 9, a: 8 }).info({ a: 7 });
    },
  ],
  ['a child with an err serializer', {}, (log) => log.child({}, { serializers: { err: () => 'E' } }).info(boom)],
  [
    'a child with a level',
    {},
    (log) => {
      const child = log.child({}, { level: 'debug' });
      child.debug('d');
      log.debug('no');
      child.child({}).debug('also');
    },
  ],
  [
    "a child follows its parent's level until it has its own",
    {},
    (log) => {
      const child = log.child({ c: 1 });
      log.level = 'debug';
      child.debug('d');
      child.level = 'warn';
      child.info('no');
      log.info('yes');
    },
  ],
  [
    'prefixes',
    { msgPrefix: '[P] ' },
    (log) => {
      const child = log.child({}, { msgPrefix: '[C] ' });
      for (const args of [
        ['d'],
        [{ a: 1 }],
        [{ a: 1 }, 'q %s', 'z'],
        [boom],
        [{ msg: 'in' }],
        [{ a: 1 }, 5],
        [null],
        [5],
        [{ a: 1 }, null],
        [undefined],
        [true],
        [{}, { b: 1 }],
        [() => 1],
        [5n],
        [''],
      ])
        child.info(...args);
    },
  ],
  [
    'bindings set later',
    {},
    (log) => {
      const child = log.child({ c: 1 });
      log.setBindings({ z: 1 });
      log.info('x');
      log.setBindings({ z: 2, s: '"' });
      log.info('y');
      child.info('z');
    },
  ],
  [
    'custom levels',
    { customLevels: { foo: 35, bar: 5 } },
    (log) => {
      log.foo('x');
      log.bar('no');
      log.level = 'bar';
      log.bar({ a: 1 }, 'yes %s', 1);
      log.trace('t');
    },
  ],
  [
    'only custom levels',
    { customLevels: { foo: 35, bar: 1.5 }, useOnlyCustomLevels: true, level: 'foo' },
    (log) => {
      log.foo('x');
      log.bar('no');
    },
  ],
  [
    'a custom level of a standard number',
    { customLevels: { foo: 30 } },
    (log) => {
      log.foo('x');
      log.info('y');
    },
  ],
  ['custom levels of a child', {}, (log) => log.child({ a: 1 }, { customLevels: { foo: 35 } }).foo('x')],
  [
    'levels compared downwards',
    { levelComparison: 'DESC', customLevels: { foo: 20, bar: 10 }, useOnlyCustomLevels: true, level: 'foo' },
    (log) => {
      log.foo('a');
      log.bar('b');
    },
  ],
  [
    'levels compared by a function',
    { levelComparison: (current: number, expected: number) => current === expected },
    (log) => {
      log.info('a');
      log.warn('b');
    },
  ],
  [
    'formatters.level',
    { formatters: { level: (label: string, n: number) => ({ sev: label, n }) } },
    (log) => log.warn('x'),
  ],
  ['formatters.bindings', { formatters: { bindings: (b: object) => ({ ...b, q: 1 }) } }, (log) => log.info('x')],
  [
    'formatters.log',
    { formatters: { log: (o: object) => ({ ...o, k: 1 }) } },
    (log) => {
      log.info('x');
      log.info({ a: 1 }, 'y');
      log.info(boom);
      log.info(null);
    },
  ],
  ['formatters.log that answers nothing', { formatters: { log: () => undefined } }, (log) => log.info({ a: 1 }, 'x')],
  [
    'formatters of a child',
    {},
    (log) =>
      log
        .child(
          { a: 1 },
          {
            formatters: {
              log: (o: object) => ({ w: o }),
              bindings: (b: object) => ({ bb: b }),
              level: (l: string) => ({ lvl: l }),
            },
          },
        )
        .info({ x: 1 }, 'm'),
  ],
  [
    'nestedKey',
    { nestedKey: 'p' },
    (log) => {
      for (const args of [
        [{ a: 1, msg: 'q' }, 'm'],
        ['m'],
        [boom],
        [{}],
        [{ err: boom }],
        [null, 'm'],
        [[1]],
        [{ a: undefined }],
        [circle()],
      ])
        log.info(...args);
      log.child({ b: 1 }).info({ c: 1 });
    },
  ],
  [
    'nestedKey with redact and serializers',
    { nestedKey: 'p', redact: ['a', 'p.b'], serializers: { c: doubled } },
    (log) => log.info({ a: 1, b: 2, c: 3 }, 'm'),
  ],
  [
    'nestedKey with everything',
    {
      nestedKey: 'n',
      mixin: () => ({ a: 1 }),
      formatters: { log: (o: object) => ({ ...o, z: 2 }) },
      serializers: { a: doubled },
    },
    (log) => {
      log.info({ b: 1 }, 'm');
      log.info('m');
    },
  ],
  [
    'messageKey',
    { messageKey: 'message' },
    (log) => {
      log.info({ message: 'a' }, 'b');
      log.info({ msg: 'a' }, 'b');
      log.info(boom);
      log.info({ message: 'a' });
      log.info('x');
    },
  ],
  [
    'errorKey',
    { errorKey: 'error' },
    (log) => {
      log.info(boom);
      log.info({ err: boom });
      log.info({ error: boom });
      log.info({ error: boom }, 'm');
    },
  ],
  [
    'errorKey with serializers',
    { errorKey: 'error', serializers: { error: (e: Error) => e.message, err: () => 'E' } },
    (log) => {
      log.info(boom);
      log.info({ err: boom });
    },
  ],
  [
    'an err serializer',
    { serializers: { err: (e: Error) => ({ m: e.message }) } },
    (log) => {
      log.info(boom);
      log.info({ err: 5 }, 'q');
    },
  ],
  [
    'serializers of all kinds of answers',
    {
      serializers: {
        a: () => undefined,
        b: () => () => 1,
        c: () => 5n,
        d: doubled,
        e: () => 's"',
        f: () => Number.NaN,
        g: () => ({ z: 1 }),
        h: () => null,
      },
    },
    (log) => log.info({ a: 1, b: 1, c: 1, d: undefined, e: 0, f: 0, g: 0, h: 0 }),
  ],
  ['a serializer for functions', { serializers: { f: doubled } }, (log) => log.info({ f: String })],
  [
    'serializers for the message and for bindings',
    { serializers: { msg: doubled, pid: doubled, time: doubled } },
    (log) => {
      log.info({ a: 1, time: 4 }, 'm');
      log.info({ msg: 'k' });
      log.info('x');
    },
  ],
  [
    'mixin',
    { mixin: (o: object, n: number) => ({ mx: n, keys: Object.keys(o) }) },
    (log) => {
      for (const args of [['x'], [{ mx: 1 }, 'y'], [boom], [{ a: 1 }], [null, 'q'], [circle()]]) log.info(...args);
      log.child({ c: 1 }).warn('w');
    },
  ],
  [
    'mixin with a strategy',
    { mixin: () => ({ a: 1 }), mixinMergeStrategy: (o: object, m: object) => ({ ...o, ...m }) },
    (log) => log.info({ a: 2, b: 3 }, 'x'),
  ],
  [
    'mixin with a message',
    { mixin: () => ({ msg: 'from mixin' }) },
    (log) => {
      log.info({ a: 1 });
      log.info('q');
    },
  ],
  [
    'mixin with an error',
    { mixin: () => ({ err: boom }) },
    (log) => {
      log.info({ a: 1 });
      log.info('q');
    },
  ],
  [
    'hooks',
    {
      hooks: {
        logMethod(
          this: AnyLogger,
          args: unknown[],
          method: { apply(log: AnyLogger, args: unknown[]): void },
          level: number,
        ) {
          method.apply(this, [`H${level}`, ...args]);
        },
        streamWrite: (line: string) => line.replace('H', 'J'),
      },
    },
    (log) => {
      log.info('x');
      log.child({ c: 1 }).warn({ a: 1 });
      log.debug('no');
    },
  ],
  [
    'limits of depth and width',
    { edgeLimit: 2, depthLimit: 1 },
    (log) => log.info({ o: { ...circle(), a: { b: { c: 1 } }, d: 1, e: [], f: {} }, p: circle() }),
  ],
  [
    'a limit of depth',
    { depthLimit: 2 },
    (log) => log.info({ o: { big: 1n, a: { b: { c: 1 }, d: [[1]], e: {}, f: [] } } }),
  ],
  [
    'redact',
    { redact: ['a', 'b.c', 'd[*].e', 'f.*', 'g["x-y"]', 'h[0]', '*.w'] },
    (log) => {
      log.info(secrets);
      log.info(odd);
      log.info({ a: null });
    },
  ],
  [
    'redact with remove',
    { redact: { paths: ['a', 'b.c', 'd[*].e', 'f.*', 'h[0]'], remove: true } },
    (log) => {
      log.info(secrets);
      log.info(odd);
      log.info({ a: undefined, b: { c: undefined, d: 1 } });
    },
  ],
  [
    'redact with a function',
    { redact: { paths: ['a', 'b.c', 'd[*].e', 'f.*', 'x.*.y', 'h[1]'], censor: mark } },
    (log) => {
      log.info(secrets);
      log.info({ x: { z: { y: 1 } }, b: { c: { q: 1 } } });
    },
  ],
  [
    'redact with undefined from the censor',
    { redact: { paths: ['a', 'b.c'], censor: () => undefined } },
    (log) => log.info(secrets),
  ],
  ...[undefined, 5, { x: 1 }, null, true, 'C"', [1]].map(
    (censor): Case => [
      `redact with ${JSON.stringify(censor)}`,
      { redact: { paths: ['a', 'b.c'], censor } },
      (log) => log.info(secrets),
    ],
  ),
  ['redact everything', { redact: ['*'] }, (log) => log.info({ a: 1, b: { c: 1 } }, 'm')],
  [
    "redact the line's own",
    { redact: ['msg', 'pid', 'level', 'time'] },
    (log) => {
      log.info({ msg: 'a' }, 'm');
      log.info({ msg: 'z', pid: 3 });
    },
  ],
  [
    'redact what a serializer made',
    { redact: ['a.b', 'c'], serializers: { a: (v: unknown) => ({ b: 1, c: v }), c: (v: unknown) => ({ v }) } },
    (log) => log.info({ a: 1, c: 2 }),
  ],
  ['redact bindings', { redact: ['a.b', 'c'] }, (log) => log.child({ a: { b: 1, d: 2 }, c: 3 }).info('x')],
  [
    'redact in children',
    { redact: { paths: ['a', 'x.y'], censor: 'C' } },
    (log) => {
      log.child({ q: 1 }, { redact: [] }).info({ a: 1 });
      log.child({ q: 1 }, { redact: ['b'] }).info({ a: 1, b: 1, x: { y: 1 } });
      log.child({ b: 1 }, { redact: { paths: ['b'], censor: 'D' } }).info({ b: 1 });
      log.child({ a: 1 }).info({ a: 2 });
    },
  ],
  [
    'redact errors',
    { redact: ['err.message', 'err.stack', 'err.code', '*.headers'] },
    (log) => log.info(Object.assign(new Error('x'), { code: 5, headers: 1 })),
  ],
  [
    'redact in the middle',
    { redact: ['a.*.b', 'c.*.*', 'x.y.z.q', '*.*.y'] },
    (log) =>
      log.info({
        a: { q: { b: 1 }, r: { b: 2 }, s: 3 },
        c: { d: { e: 1 }, f: 2 },
        x: { y: { z: { q: 1 } } },
        w: { v: { y: 1 } },
      }),
  ],
  [
    'redact odd values',
    { redact: ['a.b', 'c', 'd', 'e.f', 'z.y.x', 's.b'] },
    (log) =>
      log.info({ a: { b: undefined }, c: Number.NaN, d: Symbol('x'), e: { f: Symbol('y'), g() {} }, z: {}, s: 'str' }),
  ],
  ['redact a function', { redact: ['a.b', 'c'] }, (log) => log.info({ a: { b() {} }, c() {} })],
  [
    'redact instances',
    { redact: ['a.b', 'm.x', 'd.x'] },
    (log) => log.info({ a: Object.assign(new Point(), { b: 1 }), m: new Map([['x', 1]]), d: new Date(0) }),
  ],
  ['redact beside a BigInt', { redact: ['a.b'] }, (log) => log.info({ a: { b: 1, c: 5n } })],
  ...[
    'a.[b]',
    'a[b]',
    "a['b']",
    '["a"].b',
    '**',
    'a.**.x',
    'a*',
    'a.b*',
    'a-b',
    '1a',
    '$',
    '_a.$b',
    'é',
    '[0]',
    'a.0',
    'l.0.b',
    'l[1].b',
    '*[*]',
    '[*]',
    '*.*',
    'a[*]',
    'l[*].*',
    'a.*.*.d',
    '[*].x',
    'a.b.c',
  ].map(
    (path): Case => [
      `redact ${path}`,
      { redact: [path] },
      (log) =>
        log.info(
          {
            a: { b: { c: { d: 1 } }, bc: 2, x: 3, 0: 4 },
            'a-b': 1,
            ab: 1,
            '1a': 1,
            $: 1,
            _a: { $b: 1 },
            é: 1,
            0: 1,
            l: [{ b: 1 }, { b: 2 }],
          },
          'm',
        ),
    ],
  ),
  [
    'redact the same twice',
    { redact: ['a', 'a', 'a.b', '*.a', 'b.a', 'b.*'] },
    (log) => log.info({ a: { b: 1 }, b: { a: 1, c: 2 } }),
  ],
];
