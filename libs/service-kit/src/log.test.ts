import { describe, expect, test } from '@jest/globals';
import { ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import type { LineSink } from '@plinth/file-logger';
import { createLog, type LogOptions } from './log.ts';

function gathered(options: Partial<LogOptions> = {}) {
  const writes: string[] = [];
  const sink = { write: (line: string) => void writes.push(line), flushSync: () => true } as LineSink;
  const log = createLog({ service: 'kv', isReadable: false, now: () => 0, sink, ...options });
  return { log, writes };
}

describe('log lines', () => {
  test('are JSON with level, time, service, fields and the message', () => {
    const { log, writes } = gathered();
    log.info('ready', { port: 7_401 });
    log.flush();
    expect(writes).toEqual([
      '{"level":"info","time":"1970-01-01T00:00:00.000Z","service":"kv","port":7401,"msg":"ready"}\n',
    ]);
  });

  test.each([
    ['debug', 4],
    ['info', 3],
    ['warn', 2],
    ['error', 1],
    ['silent', 0],
  ] as const)('at level %s, %d of four are written', (level, count) => {
    const { log, writes } = gathered({ level });
    for (const line of ['debug', 'info', 'warn', 'error'] as const) log[line](line);
    log.flush();
    expect(writes.join('').split('\n').length - 1).toBe(count);
  });

  test('tell an error with its stack and its cause', () => {
    const { log, writes } = gathered();
    log.error('failed', { error: new Error('outer', { cause: new Error('inner') }) });
    log.flush();
    const { error } = JSON.parse(writes[0]!) as { error: string };
    expect(error).toMatch(/Error: outer[\s\S]*caused by Error: inner/);
  });

  test('survive what JSON cannot say', () => {
    const { log, writes } = gathered();
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    log.info('big', { count: 2n ** 60n });
    log.info('round', { circle });
    log.flush();
    expect(writes[0]).toContain('"count":1152921504606846976');
    expect(JSON.parse(writes[1]!)).toMatchObject({ msg: 'round', circle: { self: '[Circular]' } });
  });

  test('carry no trace where none is active', () => {
    const context = trace.setSpanContext(ROOT_CONTEXT, {
      traceId: '1'.repeat(32),
      spanId: '2'.repeat(16),
      traceFlags: TraceFlags.SAMPLED,
    });
    expect(trace.getSpanContext(context)).toBeDefined();
    const { log, writes } = gathered();
    log.info('x');
    log.flush();
    expect(writes[0]).not.toContain('trace_id');
  });

  test('are readable on a terminal', () => {
    const { log, writes } = gathered({ isReadable: true });
    log.warn('slow', { ms: 12, key: 'a' });
    log.flush();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are.
    expect(writes[0]!.replace(/\x1b\[\d+m/g, '')).toBe('00:00:00.000 warn  kv: slow ms=12 key=a\n');
  });

  test('cannot steer a terminal', () => {
    const { log, writes } = gathered({ isReadable: true });
    log.warn('red \x1b[31m', { key: '\x1b]0;title\x07' });
    expect(writes[0]).toContain('red \\x1b[31m');
    expect(writes[0]).toContain('\\x1b]0;title\\x07');
  });
});
