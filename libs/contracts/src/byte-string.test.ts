import { describe, expect, test } from '@jest/globals';
import { bytesOfText, percentDecode, percentEncode, textOfBytes } from './byte-string.ts';

const ALL_BYTES = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));

describe('byte strings', () => {
  test('percent-encoding gives every byte back, and only legal characters', () => {
    expect(percentEncode(ALL_BYTES)).toMatch(/^[A-Za-z0-9._~%-]+$/);
    expect(percentDecode(percentEncode(ALL_BYTES))).toBe(ALL_BYTES);
  });

  test.each(['%', '%4', '%zz', 'a%2', '%%41'])('%s is not percent-encoded', (text) => {
    expect(percentDecode(text)).toBeUndefined();
  });

  test('a char that is no byte cannot be encoded', () => {
    expect(() => percentEncode('€')).toThrow(TypeError);
  });

  test.each(['', 'plain', 'grüße', '🚀/x'])('text %j is its UTF-8, and back', (text) => {
    expect(bytesOfText(text)).toBe(Buffer.from(text).toString('latin1'));
    expect(textOfBytes(bytesOfText(text)!)).toBe(text);
  });

  test('half a surrogate pair has no bytes, and bytes that are not UTF-8 have no text', () => {
    expect(bytesOfText('a\ud800')).toBeUndefined();
    expect(textOfBytes('\xff\xfe')).toBeUndefined();
    expect(textOfBytes('\xc3')).toBeUndefined();
  });
});
