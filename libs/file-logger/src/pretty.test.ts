import { spawn } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { prettyLine, wantsColours } from './pretty.ts';
import { Random } from './random-calls.fixture.ts';

/** What moves a cursor, changes a colour or turns the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

describe('a line for people', () => {
  test('has the time, the level, the origin, the message, and members below', () => {
    const line =
      '{"level":30,"time":1795473358038,"pid":7,"hostname":"h","name":"api","a":1,"o":{"b":[1]},"msg":"done"}\n';
    expect(prettyLine(line)).toBe(
      '[2026-11-23 22:35:58.038Z] INFO (api/7 on h): done\n    a: 1\n    o: {\n      "b": [\n        1\n      ]\n    }\n',
    );
  });

  test('shows a stack as lines, and the other members of the error', () => {
    const line = '{"level":50,"err":{"type":"E","message":"m","stack":"E: m\\n    at x","code":5},"msg":"m"}';
    expect(prettyLine(line)).toBe('ERROR: m\n    err: E: m\n            at x\n        code: 5\n');
  });

  test('has colours when asked, and none otherwise', () => {
    expect(prettyLine('{"level":30,"msg":"x"}', { colours: true })).toBe(
      '\u001b[32mINFO\u001b[0m: \u001b[36mx\u001b[0m\n',
    );
    expect(prettyLine('{"level":30,"msg":"x"}')).toBe('INFO: x\n');
    expect(wantsColours({ isTTY: true }, {})).toBe(true);
    expect(wantsColours({ isTTY: true }, { NO_COLOR: '' })).toBe(true);
    expect(wantsColours({ isTTY: true }, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColours({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
    expect(wantsColours({}, {})).toBe(false);
  });

  test('knows levels by name, levels of its own, and times that are none', () => {
    expect(prettyLine('{"level":"warn","time":"2026-01-02T03:04:05Z","msg":"x"}')).toBe(
      '[2026-01-02 03:04:05.000Z] WARN: x\n',
    );
    expect(prettyLine('{"level":35,"time":"later","msg":{"a":1}}')).toBe('[later] 35: {\n      "a": 1\n    }\n');
    expect(prettyLine('{}')).toBe(':\n');
  });

  test('keeps every digit of a long number', () => {
    expect(prettyLine('{"level":30,"big":12345678901234567890,"msg":"x"}')).toBe(
      'INFO: x\n    big: 12345678901234567890\n',
    );
  });

  test.each(['not json', '{"cut":', '', '[1]', '5', '{"a":1}{'])('shows %j as it is', (text) => {
    expect(prettyLine(text)).toBe(`${text}\n`);
  });
});

describe('no terminal escape gets through', () => {
  const escapes = [
    '\u001b[2J',
    '\u009b31m',
    '\u001b]0;t\u0007',
    '\r\u001b[K',
    '\b\b\b',
    '\u007f',
    '\u202e',
    '\u2066',
    '\u0000',
    '\u0085',
    '\u2028',
  ];
  test.each(escapes)('%j', (code) => {
    for (const colours of [false, true]) {
      const values = {
        level: code,
        time: code,
        pid: code,
        hostname: code,
        name: code,
        [`k${code}`]: code,
        o: { [code]: [code] },
      };
      const error = { err: { stack: `s${code}`, [code]: code }, msg: `m${code}` };
      const shown = prettyLine(JSON.stringify({ ...values, ...error }), { colours });
      // biome-ignore lint/suspicious/noControlCharactersInRegex: our own colours.
      const ours = /\u001b\[(0|90|3\d|97;41)m/g;
      expect(UNSAFE.test(colours ? shown.replace(ours, '') : shown)).toBe(false);
      expect(UNSAFE.test(prettyLine(`no json ${code}`))).toBe(false);
    }
  });

  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  test(`in 5,000 random lines (SEED=${seed})`, () => {
    const random = new Random(seed);
    const text = () =>
      Array.from({ length: random.below(8) }, () =>
        String.fromCharCode(random.below(random.of([0x100, 0x2100, 0x10000]))),
      ).join('');
    for (let round = 0; round < 5_000; round++) {
      const line =
        random.next() < 0.2
          ? text().replaceAll('\n', '')
          : JSON.stringify({ level: 30, [text()]: text(), err: { stack: text() }, msg: text() });
      const shown = prettyLine(line);
      expect([seed, round, UNSAFE.test(shown), shown.isWellFormed()]).toEqual([seed, round, false, true]);
    }
  });

  test('a newline in a value cannot pass for a line of its own', () => {
    const forged = '\n[2026-01-01 00:00:00.000Z] FATAL: forged';
    const line = JSON.stringify({
      level: `x${forged}`,
      name: forged,
      pid: forged,
      [forged]: forged,
      err: { stack: forged, [forged]: forged },
      msg: forged,
    });
    const starts = prettyLine(line)
      .split('\n')
      .filter((shown) => /^\[/.test(shown));
    expect(starts).toEqual([]);
  });
});

test('the command reads lines cut anywhere, and shows each once', async () => {
  const lines = `${Array.from({ length: 500 }, (_, at) => `{"level":30,"msg":"é ${at} \\u001b[2J"}\n`).join('')}the end`;
  const bytes = Buffer.from(lines);
  const child = spawn(process.execPath, [new URL('./pretty-main.ts', import.meta.url).pathname], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  child.stdout.on('data', (chunk) => {
    shown += chunk;
  });
  for (let at = 0; at < bytes.length; at += 777) child.stdin.write(bytes.subarray(at, at + 777));
  child.stdin.end();
  await new Promise((resolve) => child.on('close', resolve));
  const expected = `${Array.from({ length: 500 }, (_, at) => `INFO: é ${at} \\x1b[2J\n`).join('')}the end\n`;
  expect(shown).toBe(expected);
});
