import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { ProtocolError, RespReader } from './resp-reader.ts';

/** All commands in the pieces, as lists of words. */
function read(pieces: readonly (string | Buffer)[]): string[][] {
  const reader = new RespReader();
  const commands: string[][] = [];
  for (const piece of pieces) {
    reader.push(Buffer.from(piece as string, 'latin1'));
    while (reader.next()) commands.push(Array.from({ length: reader.args }, (_, at) => reader.text(at)));
  }
  return commands;
}

const array = (...words: string[]) =>
  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;

describe('commands', () => {
  test('in one piece are all found', () => {
    expect(read([array('PING') + array('CL.THROTTLE', 'k', '1', '2', '3')])).toEqual([
      ['PING'],
      ['CL.THROTTLE', 'k', '1', '2', '3'],
    ]);
  });

  test('byte by byte are found the same', () => {
    const text = `${array('PING')}${array('a\r\nb', '', 'c'.repeat(300))}SET  x y\r\nlast\n`;
    const expected = [['PING'], ['a\r\nb', '', 'c'.repeat(300)], ['SET', 'x', 'y'], ['last']];
    expect(read([text])).toEqual(expected);
    expect(read([...text])).toEqual(expected);
  });

  test('that are empty are passed over', () => {
    expect(read(['\r\n\r\n*0\r\n*-1\r\n  \r\nPING\r\n'])).toEqual([['PING']]);
  });

  test('of 16 arguments of 4,096 bytes are the largest', () => {
    const words = Array.from({ length: 16 }, () => 'x'.repeat(4_096));
    expect(read([array(...words)])).toEqual([words]);
    expect(() => read([array(...words, 'y')])).toThrow(ProtocolError);
    expect(() => read([array('x'.repeat(4_097))])).toThrow('invalid bulk length: 4097 bytes; the most is 4096');
  });
});

describe('what is no protocol is refused', () => {
  test.each([
    ['*x\r\n', 'invalid multibulk length'],
    ['*\r\n', 'invalid multibulk length'],
    ['*1 \r\n', 'invalid multibulk length'],
    ['*17\r\n', 'invalid multibulk length: 17 arguments; the most is 16'],
    ['*99999999999999999999\r\n', 'a length has more digits than any length'],
    ['*1\r\n:1\r\n', "expected '$', got ':'"],
    ['*1\r\n\0', "expected '$', got '\\x00'"],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$1\r\nabc', 'an argument does not end with CRLF'],
    ['*1\r\n$1\rx', 'a line does not end with CRLF'],
    ['w '.repeat(17).concat('\n'), 'too many words in an inline command; the most is 16'],
    ['w'.repeat(4_097).concat('\n'), 'a word is 4097 bytes; the most is 4096'],
    ['w'.repeat(70_000), 'too big request'],
  ])('%j', (text, words) => {
    expect(() => read([text])).toThrow(words);
    expect(() => read([...text])).toThrow(ProtocolError);
  });
});

describe('random bytes', () => {
  test('are commands, wait for more, or are refused; and never remembered without bound', () => {
    const random = seededRandom();
    const alphabet = ['*', '$', '\r\n', '\n', '1', '3', '16', '-1', 'PING', ' ', 'x', '\0', 'ÿ', 'CL.THROTTLE'];
    for (let run = 0; run < 3_000; run++) {
      const reader = new RespReader();
      try {
        for (let piece = 0; piece < 30; piece++) {
          const text = Array.from({ length: random.int(8) }, () => random.pick(alphabet)).join('');
          reader.push(Buffer.from(text, 'latin1'));
          while (reader.next()) expect(reader.args).toBeGreaterThan(0);
          expect(reader.waitingBytes).toBeLessThanOrEqual(70_000);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }
  });

  test('cut anywhere, commands are found the same as whole', () => {
    const random = seededRandom();
    for (let run = 0; run < 300; run++) {
      const words = () =>
        Array.from({ length: 1 + random.int(6) }, () => 'ab\r\n$*'.repeat(random.int(20)) + random.int(1e6));
      const commands = Array.from({ length: 1 + random.int(5) }, words);
      const text = commands.map((command) => array(...command)).join('');
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = 1 + random.int(random.pick([2, 20, 200]));
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      expect(read(pieces)).toEqual(commands);
    }
  });
});
