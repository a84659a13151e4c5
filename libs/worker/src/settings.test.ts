import { describe, expect, test } from '@jest/globals';
import { connectionOf, queuesOf, settingsOf } from './settings.ts';

const facts = { isNats: false, random: () => 0 };

describe('settings', () => {
  test('without any they are those of the README', () => {
    expect(settingsOf({}, facts)).toMatchObject({
      concurrency: 10,
      prefetch: 80,
      leaseMs: 30_000,
      waitMs: 20_000,
      maxBlockMs: 60_000,
      beatMs: 5_000,
      worker: expect.stringMatching(/:aaaa$/),
    });
    expect(settingsOf({}, { ...facts, isNats: true }).waitMs).toBe(2_000);
  });

  test.each([
    ['concurrency', 1, 1_000],
    ['prefetch', 0, 2_000],
    ['leaseMs', 1_000, 3_600_000],
    ['waitMs', 0, 60_000],
    ['maxBlockMs', 1_000, 3_600_000],
    ['beatMs', 100, 60_000],
  ])('%s is a whole number from %d to %d', (name, min, max) => {
    for (const value of [min, max]) expect(settingsOf({ [name]: value }, facts)).toMatchObject({ [name]: value });
    for (const value of [min - 1, max + 1, min + 0.5, Number.NaN, '7' as unknown as number]) {
      expect(() => settingsOf({ [name]: value }, facts)).toThrow(`${name} must be a whole number from`);
    }
  });

  test('a name is 1 to 128 visible ASCII characters', () => {
    for (const worker of ['w', 'x'.repeat(128)]) expect(settingsOf({ worker }, facts).worker).toBe(worker);
    for (const worker of ['', 'x'.repeat(129), 'a b', 'ä'])
      expect(() => settingsOf({ worker }, facts)).toThrow('worker');
  });
});

test('queues are one or several, each once', () => {
  expect(queuesOf({ queue: 'a' })).toEqual(['a']);
  expect(queuesOf({ queues: ['a', 'b', 'a'] })).toEqual(['a', 'b']);
  expect(() => queuesOf({ queues: [] })).toThrow('wants a queue');
  expect(() => queuesOf({ queues: ['a', ''] })).toThrow('"" is not the name');
});

test('there is one place to connect to, no more and no less', () => {
  expect(connectionOf({ url: 'http://a' })).toMatchObject({ url: 'http://a' });
  expect(() => connectionOf({} as never)).toThrow('one of client, url and nats');
  expect(() => connectionOf({ url: 'http://a', nats: { url: 'nats://b' } } as never)).toThrow('one of');
});
