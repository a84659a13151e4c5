import { hostname } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { ArraySink } from './array-sink.fixture.ts';
import type { LoggerOptions } from './file-logger.ts';
import { fileLogger, isoClock, stdSerializers, stdTimeFunctions } from './file-logger.ts';

const FROZEN = { timestamp: () => ',"time":1', base: null };

function made<Custom extends string = never>(options: LoggerOptions<Custom> = {}) {
  const sink = new ArraySink();
  return { sink, log: fileLogger<Custom>({ ...FROZEN, ...options }, sink) };
}

describe('levels', () => {
  test('a change is told with the old and the new level, on the logger and its parents', () => {
    const { log } = made();
    const heard: unknown[] = [];
    log.on('level-change', (...change) => heard.push(change.slice(0, 4)));
    log.once('level-change', (label) => heard.push(label));
    log.level = 'debug';
    const child = log.child({});
    child.level = 'error';
    expect(heard).toEqual([['debug', 20, 'info', 30], 'debug', ['error', 50, 'debug', 20]]);
    expect([log.level, log.levelVal, child.level]).toEqual(['debug', 20, 'error']);
  });

  test('a listener that was taken off hears nothing, and one on a child does not hear its parent', () => {
    const { log } = made();
    let heard = 0;
    const listener = () => {
      heard++;
    };
    log.on('level-change', listener).off('level-change', listener);
    log.child({}).on('level-change', listener);
    log.level = 'warn';
    expect(heard).toBe(0);
  });

  test('unknown levels are refused by name, at each door', () => {
    const { log } = made();
    expect(() => made({ level: 'loud' })).toThrow('level loud is none of trace, debug, info, warn, error, fatal');
    expect(() => {
      log.level = 'loud';
    }).toThrow('unknown level loud');
    expect(() => log.child({}, { level: 'loud' })).toThrow('unknown level loud');
    expect(() => made({ customLevels: { a: Number.NaN } })).toThrow('customLevels.a must be a finite number');
    expect(log.level).toBe('info');
  });

  test('isLevelEnabled knows each level, silent, and no other', () => {
    const { log } = made({ customLevels: { audit: 35 } });
    expect(['debug', 'info', 'audit', 'silent', 'loud'].map((level) => log.isLevelEnabled(level))).toEqual([
      false,
      true,
      true,
      true,
      false,
    ]);
    expect(log.levels.values).toMatchObject({ info: 30, audit: 35 });
    expect(log.levels.labels[35]).toBe('audit');
  });

  test('custom levels are methods of the logger and of its children', () => {
    const { log, sink } = made({ customLevels: { audit: 35 } });
    log.audit('a');
    log.child({ c: 1 }, { customLevels: { whisper: 31 } }).whisper('b');
    expect(sink.lines).toEqual(['{"level":35,"time":1,"msg":"a"}\n', '{"level":31,"time":1,"c":1,"msg":"b"}\n']);
  });

  test('fatal returns after everything is written', () => {
    const { log, sink } = made();
    log.error('x');
    expect(sink.syncFlushes).toBe(0);
    log.fatal('x');
    expect(sink.syncFlushes).toBe(1);
  });
});

describe('children', () => {
  test('bindings are those of the logger and its parents, without pid and hostname', () => {
    const { log } = made({ base: { pid: 1, hostname: 'h' }, name: 'n' });
    expect(
      log
        .child({ a: 1, c: { d: 2 } })
        .child({ a: 2, b: '"' })
        .bindings(),
    ).toEqual({ name: 'n', a: 2, c: { d: 2 }, b: '"' });
  });

  test('onChild is told, prefixes add up, and a child without bindings is refused', () => {
    const children: unknown[] = [];
    const { log } = made({ msgPrefix: 'a ', onChild: (child) => children.push(child) });
    const child = log.child({}, { msgPrefix: 'b ' });
    expect(children).toEqual([child]);
    expect(child.msgPrefix).toBe('a b ');
    expect(() => log.child(undefined as never)).toThrow('child: bindings are missing');
  });
});

describe('lines', () => {
  test('by default they begin with level, time, pid and hostname', () => {
    const sink = new ArraySink();
    const before = Date.now();
    fileLogger({}, sink).info('x');
    const line = JSON.parse(sink.lines[0]!);
    expect(Object.keys(line)).toEqual(['level', 'time', 'pid', 'hostname', 'msg']);
    expect(line).toMatchObject({ pid: process.pid, hostname: hostname() });
    expect(line.time).toBeGreaterThanOrEqual(before);
  });

  test('the time goes on while the rest of the beginning is kept', async () => {
    const sink = new ArraySink();
    const log = fileLogger({}, sink);
    for (let at = 0; at < 5; at++) {
      log.info('x');
      log.warn('y');
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    const times = sink.lines.map((line) => JSON.parse(line).time as number);
    expect(new Set(times).size).toBeGreaterThan(3);
    expect([...times].sort()).toEqual(times);
    expect(sink.lines.map((line) => JSON.parse(line).level)).toEqual([30, 40, 30, 40, 30, 40, 30, 40, 30, 40]);
  });

  test('trace ids are asked for at each call', () => {
    let calls = 0;
    const { log, sink } = made({
      traceIds: () => (calls++ === 1 ? undefined : { traceId: `t${calls}`, spanId: 's"' }),
    });
    log.info({ a: 1 }, 'x');
    log.child({ c: 1 }).info('y');
    log.info('z');
    log.debug('not asked');
    expect(sink.lines).toEqual([
      '{"level":30,"time":1,"trace_id":"t1","span_id":"s\\"","a":1,"msg":"x"}\n',
      '{"level":30,"time":1,"c":1,"msg":"y"}\n',
      '{"level":30,"time":1,"trace_id":"t3","span_id":"s\\"","msg":"z"}\n',
    ]);
    expect(calls).toBe(3);
  });

  test('the ids of a frozen clock, and with crlf', () => {
    const { log, sink } = made({ crlf: true, traceIds: () => ({ traceId: 't', spanId: 's' }), timestamp: true });
    log.info({ n: 1n }, 'x');
    expect(sink.lines[0]).toMatch(/^\{"level":30,"time":\d{13},"trace_id":"t","span_id":"s","n":1,"msg":"x"\}\r\n$/);
  });

  test('a message that JSON has no word for is left out', () => {
    const { log, sink } = made({ redact: { paths: ['msg'], remove: true } });
    log.info({ a: 1 }, 'secret');
    made().log.info({ a: 1 }, Symbol('x'));
    expect(sink.lines).toEqual(['{"level":30,"time":1,"a":1}\n']);
  });

  test('the object of a mixin is not changed, and it may answer nothing', () => {
    const mixed = { app: 'a' };
    const { log, sink } = made({ mixin: () => mixed });
    log.info({ secret: 1 }, 'x');
    log.info('y');
    made({ mixin: () => undefined as never }).log.info({ a: 1 });
    expect(sink.lines[1]).toBe('{"level":30,"time":1,"app":"a","msg":"y"}\n');
    expect(mixed).toEqual({ app: 'a' });
  });

  test('what is left out of a wide array is counted', () => {
    const { log, sink } = made({ edgeLimit: 2 });
    log.info({ a: [1n, 2, 3], b: [1n, 2, 3, 4] });
    expect(sink.lines[0]).toContain('"a":[1,2,"... 1 item not stringified"],"b":[1,2,"... 2 items not stringified"]');
  });

  test('a censor knows the real path, and a circle to a censored member stays censored', () => {
    const { log, sink } = made({
      redact: { paths: ['*.w', 'a.b'], censor: (_value: unknown, path: string[]) => path.join('.') },
    });
    const a: Record<string, unknown> = { b: 1 };
    a.self = a;
    log.info({ k: { w: 1 }, a });
    expect(sink.lines[0]).toContain('"k":{"w":"k.w"},"a":{"b":"a.b","self":"[Circular]"}');
  });

  test.each(['a[', 'a..b', '', 'a b', 'a.', '.'])('the path %j is refused', (path) => {
    expect(() => made({ redact: [path] })).toThrow(TypeError);
    expect(() => made({ redact: { paths: path as never } })).toThrow('redact must be an array of paths');
  });
});

describe('the rest of the house', () => {
  test("flush, stats and close are the sink's", async () => {
    const { log, sink } = made();
    log.info('x');
    expect(log.stats().written).toBe(1);
    await new Promise<void>((resolve) => log.flush(() => resolve()));
    await log[Symbol.asyncDispose]();
    expect(sink.lines).toHaveLength(1);
  });

  test('times by name', () => {
    expect(stdTimeFunctions.epochTime()).toMatch(/^,"time":\d{13}$/);
    expect(stdTimeFunctions.unixTime()).toMatch(/^,"time":\d{10}$/);
    expect(stdTimeFunctions.isoTime()).toMatch(/^,"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"$/);
    expect(stdTimeFunctions.isoTimeNano()).toMatch(/^,"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"$/);
    let nowMs = 0;
    const clock = isoClock(() => nowMs);
    expect([clock(), clock()]).toEqual([...Array(2)].map(() => ',"time":"1970-01-01T00:00:00.000Z"'));
    nowMs = 1;
    expect(clock()).toBe(',"time":"1970-01-01T00:00:00.001Z"');
    nowMs = 0;
    expect(clock()).toBe(',"time":"1970-01-01T00:00:00.000Z"');
    expect(stdTimeFunctions.nullTime()).toBe('');
  });

  test('a custom serializer may use what the standard one made', () => {
    const { log, sink } = made({
      serializers: {
        err: stdSerializers.wrapErrorSerializer((error) => ({ m: error.message, isRaw: error.raw instanceof Error })),
      },
    });
    log.info(new Error('x'));
    expect(sink.lines[0]).toContain('"err":{"m":"x","isRaw":true}');
  });
});
