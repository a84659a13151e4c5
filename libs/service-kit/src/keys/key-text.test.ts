import { describe, expect, test } from '@jest/globals';
import { hashOfKey, newKey, parseKeyLines, parseRootKey } from './key-text.ts';

const HASH = hashOfKey('one');
const OTHER = hashOfKey('another');

test('a new key is plk_ and 32 random bytes', () => {
  expect(newKey()).toMatch(/^plk_[A-Za-z0-9_-]{43}$/);
  expect(newKey()).not.toBe(newKey());
});

describe('lines of keys', () => {
  test('are name, hash and scopes; comments and empty lines do not count', () => {
    const text = `\uFEFF# who may\r\n\n ann ${HASH.toUpperCase()}\tkv:read,queue:*:/v1/ \r\nbob-2 ${OTHER} *`;
    const { entries, faults } = parseKeyLines(text);
    expect(faults).toEqual([]);
    expect(entries.map(({ name, hash, scopes }) => [name, hash, scopes.length])).toEqual([
      ['ann', HASH, 2],
      ['bob-2', OTHER, 1],
    ]);
  });

  test('may name the limit that holds for the key', () => {
    const { entries } = parseKeyLines(`ann ${HASH} kv:read limit=partner\nbob ${OTHER} *`);
    expect(entries.map(({ limitName }) => limitName)).toEqual(['partner', undefined]);
  });

  test('of an empty file are none, and that is in order', () => {
    expect(parseKeyLines('# nobody yet\n')).toEqual({ entries: [], faults: [] });
  });

  test.each([
    ['plk_a-key-where-a-line-belongs', 'it must be <name> <sha256'],
    [`ann ${HASH}`, 'it must be <name> <sha256'],
    [`ann ${HASH} kv:read, kv:write`, 'scope 2 of 2 must be'],
    [`ann ${HASH} kv:read limit=`, 'what follows the scopes must be limit='],
    [`ann ${HASH} kv:read limit=a b`, 'it must be <name> <sha256'],
    [`-ann ${HASH} *`, 'the name must be 1 to 64'],
    [`${'a'.repeat(65)} ${HASH} *`, 'the name must be 1 to 64'],
    [`ann ${HASH.slice(1)} *`, 'the hash must be 64 hex digits'],
    [`ann ${HASH}0 *`, 'the hash must be 64 hex digits'],
    [`ann plk_${'a'.repeat(60)} *`, 'the hash must be 64 hex digits'],
    [`ann ${HASH} kv:read,kv:raed`, 'scope 2 of 2 must be *, <service>:*'],
    [`ann ${HASH} kv:read,`, 'scope 2 of 2 must be'],
    [`ok ${OTHER} *`, 'line 2 has the same name'],
    [`ann ${OTHER} *`, 'line 2 has the same key'],
  ])('a fault names the line and the reason: %j', (line, reason) => {
    const { faults } = parseKeyLines(`# keys\nok ${OTHER} kv:read\n${line}\n`);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(/^line 3: /);
    expect(faults[0]).toContain(reason);
  });

  test('a fault quotes nothing of the line: a key may be in it', () => {
    for (const line of ['plk_secret', `plk_secret ${HASH} *`, 'ann plk_secret *', `ann ${HASH} plk_secret`]) {
      expect(parseKeyLines(line).faults.join()).not.toContain('secret');
    }
  });

  test('all faults are told', () => {
    expect(parseKeyLines('a\nb\nc').faults).toHaveLength(3);
  });
});

describe('the root key', () => {
  test('may do everything; space around it does not count', () => {
    const [entry] = parseRootKey('\n  a-root-key-of-20-char \n').entries;
    expect(entry).toMatchObject({ name: 'root', hash: hashOfKey('a-root-key-of-20-char'), scopes: [{ service: '*' }] });
  });

  test.each([20, 256])('may have %i characters', (length) => {
    expect(parseRootKey('k'.repeat(length)).faults).toEqual([]);
  });

  test.each([
    'k'.repeat(19),
    'k'.repeat(257),
    'two keys on one line, or two',
    `${'k'.repeat(30)}\n${'l'.repeat(30)}`,
    'é'.repeat(30),
  ])('is not %j', (text) => {
    const { entries, faults } = parseRootKey(text);
    expect(entries).toEqual([]);
    expect(faults).toEqual([expect.stringMatching(/characters long; it must be 20 to 256 printable ASCII/)]);
    expect(faults[0]).not.toContain(text);
  });

  test('is not nothing', () => {
    expect(parseRootKey(' \n').faults).toEqual(['it is empty; it must hold the key']);
  });
});
