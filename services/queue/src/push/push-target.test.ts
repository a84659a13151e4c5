import { describe, expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { activeTarget, newSecret, readPushTarget, secretsOf, urlFault } from './push-target.ts';

const SECRET = newSecret();
const URL = 'https://example.org/hook';
const read = (input: unknown, allowPrivateTargets = false) => readPushTarget(input, { allowPrivateTargets });

function problemOf(input: unknown): Problem {
  try {
    read(input);
  } catch (thrown) {
    if (thrown instanceof Problem) return thrown;
  }
  throw new Error('no problem');
}

describe('a push target', () => {
  test('with only a URL gets the defaults and a secret of its own', () => {
    const { secret, ...rest } = read({ url: URL });
    expect(rest).toEqual({ url: URL, concurrency: 10, ratePerSecond: 0, timeoutMs: 30_000 });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(read({ url: URL }).secret).not.toBe(secret);
  });

  test('keeps what is given', () => {
    const target = {
      url: URL,
      secret: `${SECRET} ${newSecret()}`,
      concurrency: 1,
      ratePerSecond: 0.5,
      timeoutMs: 100,
      headers: { authorization: 'Bearer x y' },
    };
    expect(read(target)).toEqual(target);
    expect(secretsOf(target.secret)).toHaveLength(2);
  });

  test.each([
    [{ url: 'http://10.0.0.1/' }, '/url', '10.0.0.1 is not a public address (private)'],
    [{}, '/url', 'a URL is needed'],
    [{ url: 7 }, '/url', 'a URL is needed'],
    [{ url: URL, secret: 'x' }, '/secret', 'a secret begins with whsec_'],
    [{ url: URL, secret: '' }, '/secret', 'the secret is empty'],
    [{ url: URL, secret: Array(6).fill(SECRET).join(' ') }, '/secret', '6 secrets; the most is 5'],
    [{ url: URL, concurrency: 0 }, '/concurrency', '0 is not a whole number from 1 to 1,000'],
    [{ url: URL, concurrency: 1_001 }, '/concurrency', '1001 is not a whole number from 1 to 1,000'],
    [{ url: URL, concurrency: 1.5 }, '/concurrency', '1.5 is not a whole number from 1 to 1,000'],
    [{ url: URL, concurrency: '5' }, '/concurrency', 'this is not a whole number from 1 to 1,000'],
    [{ url: URL, ratePerSecond: -1 }, '/ratePerSecond', '-1 is not a number from 0 to 100,000'],
    [{ url: URL, timeoutMs: 99 }, '/timeoutMs', '99 is not a whole number from 100 to 900,000'],
    [{ url: URL, timeoutMs: 900_001 }, '/timeoutMs', '900001 is not a whole number from 100 to 900,000'],
    [{ url: URL, timeout: 1_000 }, '/timeout', 'no such member; is timeoutMs meant?'],
    [{ url: URL, headers: { 'webhook-id': 'x' } }, '/headers/webhook-id', 'this header is not for targets to set'],
    [{ url: URL, headers: { Host: 'x' } }, '/headers/Host', 'this header is not for targets to set'],
    [{ url: URL, headers: { 'a b': 'x' } }, '/headers/a b', 'not the name of a header'],
    [{ url: URL, headers: { a: 'x\r\nb: y' } }, '/headers/a', 'a value is visible ASCII of at most 4,096 characters'],
    [{ url: URL, headers: { a: 1 } }, '/headers/a', 'a value is visible ASCII of at most 4,096 characters'],
    [{ url: URL, headers: ['a'] }, '/headers', 'headers are an object of text'],
  ])('%j is refused at %s: %s', (input, path, message) => {
    const problem = problemOf(input);
    expect(problem.code).toBe('invalid_request');
    expect(problem.issues).toEqual([{ path, message }]);
  });

  test('with several faults has all of them told', () => {
    expect(problemOf({ url: 'x', timeoutMs: 0, secret: 5 }).issues.map(({ path }) => path)).toEqual([
      '/url',
      '/secret',
      '/timeoutMs',
    ]);
  });

  test.each([[undefined], [null], ['https://example.org'], [[]]])('that is %j is refused', (input) => {
    expect(problemOf(input).message).toBe('a push target is an object with a url');
  });

  test('inside the network is taken where that is allowed', () => {
    expect(read({ url: 'http://127.0.0.1:8080/' }, true).url).toBe('http://127.0.0.1:8080/');
    expect(urlFault('http://127.0.0.1:8080/', false)).toBe('127.0.0.1 is not a public address (loopback)');
  });

  test('that is disabled is none to push to', () => {
    const target = read({ url: URL, secret: SECRET });
    expect(activeTarget(target)).toBe(target);
    expect(activeTarget({ ...target, disabledReason: 'gone' })).toBeUndefined();
    expect(activeTarget(undefined)).toBeUndefined();
  });
});
