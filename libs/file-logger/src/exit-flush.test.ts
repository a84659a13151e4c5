import { afterEach, describe, expect, test } from '@jest/globals';
import { type ExitFlushable, flushAtExit } from './exit-flush.ts';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
const counts = () =>
  [...SIGNALS, 'exit', 'beforeExit', 'newListener', 'removeListener'].map((name) => process.listenerCount(name));
const leavers: (() => void)[] = [];
afterEach(() => {
  for (const leave of leavers.splice(0)) leave();
});

function addSink(): () => void {
  const sink: ExitFlushable = { flushSync: () => true, writtenBytes: 0, pending: 0, flush: () => undefined };
  const leave = flushAtExit(sink);
  leavers.push(leave);
  return leave;
}

describe('the hooks of the process', () => {
  test('are one set for all sinks, and gone with the last', () => {
    const before = counts();
    const first = addSink();
    const withOne = counts();
    expect(withOne).not.toEqual(before);
    const second = addSink();
    expect(counts()).toEqual(withOne);
    first();
    first();
    expect(counts()).toEqual(withOne);
    second();
    expect(counts()).toEqual(before);
  });

  test.each(SIGNALS)('listen for %s only while nobody else does', (signal) => {
    const others = process.listeners(signal);
    for (const other of others) process.removeListener(signal, other as () => void);
    addSink();
    const ours = process.listeners(signal);
    expect(ours).toHaveLength(1);
    const theirs = () => undefined;
    process.on(signal, theirs);
    expect(process.listeners(signal)).toEqual([theirs]);
    process.removeListener(signal, theirs);
    expect(process.listeners(signal)).toEqual(ours);
    process.prependOnceListener(signal, theirs);
    expect(process.listeners(signal)).toEqual([theirs]);
    process.removeAllListeners(signal);
    expect(process.listeners(signal)).toEqual(ours);
    leavers.pop()?.();
    for (const other of others) process.on(signal, other as () => void);
  });
});
