import { expect, test } from '@jest/globals';
import { parseResp } from './resp-client.ts';

test('answers of all kinds are read with the place where the next one begins', () => {
  expect(parseResp('+OK\r\n:7\r\n')).toEqual({ answer: 'OK', end: 5 });
  expect(parseResp('+OK\r\n:7\r\n', 5)).toEqual({ answer: 7, end: 9 });
  expect(parseResp('$3\r\na\r\n\r\n')).toEqual({ answer: 'a\r\n'.slice(0, 3), end: 9 });
  expect(parseResp('$-1\r\n')).toEqual({ answer: null, end: 5 });
  expect(parseResp('*5\r\n:0\r\n:10\r\n:9\r\n:-1\r\n:8640\r\n')?.answer).toEqual([0, 10, 9, -1, 8640]);
});

test('an answer is waited for to its last byte', () => {
  const whole = '*2\r\n:1\r\n$2\r\nab\r\n';
  for (let end = 0; end < whole.length; end++) expect(parseResp(whole.slice(0, end))).toBeUndefined();
  expect(parseResp(whole)?.answer).toEqual([1, 'ab']);
});

test('an error is told, also one inside a list', () => {
  expect(parseResp('-ERR no such command\r\n')?.error).toBe('ERR no such command');
  expect(parseResp('*2\r\n:1\r\n-ERR second\r\n')?.error).toBe('ERR second');
});

test('what is no answer at all is refused', () => {
  expect(() => parseResp('HTTP/1.1 400 Bad Request\r\n')).toThrow('begins with "H"');
});
