import { expect, test } from '@jest/globals';
import { type LogLine, paintFor, parseLogLine, renderLogLine } from './log-line.ts';

const noPaint = paintFor({}, {});
const render = (line: string) => renderLogLine(parseLogLine(line), noPaint);

test("a service's JSON becomes time, level, message and fields", () => {
  const line = JSON.stringify({
    time: '2030-01-01T12:00:00.123Z',
    level: 'warn',
    msg: 'slow',
    service: 'kv',
    ms: 12,
    who: 'a b',
  });
  expect(render(line)).toMatch(/^\d\d:\d\d:00\.123 warn {2}slow ms=12 who="a b"$/);
});

test('an odd line is shown as it is', () => {
  expect(render('{ not json').trim()).toBe('info  { not json');
});

test.each<[string, LogLine['level']]>([
  ['[12] 2030/01/01 12:00:00.123456 [ERR] disk full', 'error'],
  ['[12] 2030/01/01 12:00:00.123456 [INF] Server is ready', 'info'],
  ['12:M 01 Jan 2030 12:00:00.123 * Ready to accept connections', 'info'],
  ['12:M 01 Jan 2030 12:00:00.123 # Server initialized', 'warn'],
  ["12:M 01 Jan 2030 12:00:00.123 # Can't open the append-only file", 'error'],
  ['TypeError: x is not a function', 'error'],
  ['    at file:///main.ts:1:1', 'info'],
])('%s is %s', (line, level) => {
  expect(parseLogLine(line).level).toBe(level);
});

test('colours appear on a terminal only, and never under NO_COLOR', () => {
  const painted = paintFor({ isTTY: true }, {})('red', 'x');
  expect(painted).not.toBe('x');
  expect(paintFor({ isTTY: false }, {})('red', 'x')).toBe('x');
  expect(paintFor({ isTTY: true }, { NO_COLOR: '1' })('red', 'x')).toBe('x');
});
