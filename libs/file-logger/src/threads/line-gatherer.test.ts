import { describe, expect, jest, test } from '@jest/globals';
import { LineGatherer } from './line-gatherer.ts';
import { LineRing } from './ring.ts';
import { RingConsumer } from './ring-consumer.ts';
import { LIFE, type RingOptions, SLOT, TOTAL, WORD } from './ring-layout.ts';
import { RingProducer } from './ring-producer.ts';

function gathererOf(bytes = 1_000, options: RingOptions = {}) {
  const ring = LineRing.create({ ringBytes: 16_384, threadsMax: 4, ...options });
  const producer = new RingProducer(ring);
  return { ring, producer, consumer: new RingConsumer(ring), gatherer: new LineGatherer(ring, producer, bytes) };
}

/** The texts of the records that are in the ring, one by one. */
function takeAll(ring: LineRing, consumer: RingConsumer): string {
  let text = '';
  while (consumer.fill()) {
    const rest = Buffer.from(consumer.batchRest());
    text += rest.toString();
    consumer.noteWritten(rest.length);
  }
  expect(ring.pendingLines()).toBe(ring.gatheredLines());
  return text;
}

test('lines wait while the thread goes on, and are in the ring as one record when it is done', async () => {
  const { ring, consumer, gatherer } = gathererOf();
  for (const line of ['"a"\n', '"b"\n', '"c"\n']) gatherer.write(line);
  expect([ring.head(), ring.gatheredLines(), ring.pendingLines()]).toEqual([ring.tail(), 3, 3]);
  await Promise.resolve();
  expect([ring.gatheredLines(), ring.pendingLines(), ring.count(SLOT.committed)]).toEqual([0, 3, 3]);
  // 12 bytes of header and 12 of text.
  expect((ring.head() - ring.tail()) * 8).toBe(32);
  expect(takeAll(ring, consumer)).toBe('"a"\n"b"\n"c"\n');
  expect(Atomics.load(ring.totals, TOTAL.writtenLines)).toBe(3n);
});

test('a line that does not fit any more puts those before it', () => {
  const { ring, consumer, gatherer } = gathererOf(10);
  gatherer.write('"12345"\n');
  gatherer.write('1\n');
  expect(ring.head()).toBe(ring.tail());
  gatherer.write('2\n');
  expect([ring.gatheredLines(), takeAll(ring, consumer)]).toEqual([1, '"12345"\n1\n']);
});

test('a job that logs on and on waits for its end once, and the next job anew', async () => {
  const { ring, consumer, gatherer } = gathererOf(10);
  const queue = jest.spyOn(globalThis, 'queueMicrotask');
  for (const jobs of [1, 2]) {
    for (let number = 0; number < 100; number++) gatherer.write(`${number}\n`);
    expect(queue).toHaveBeenCalledTimes(jobs);
    await Promise.resolve();
    expect(takeAll(ring, consumer).split('\n')).toHaveLength(101);
  }
  queue.mockRestore();
});

test('a line longer than all that may gather goes by itself, in its place', async () => {
  const { ring, consumer, gatherer } = gathererOf(10);
  const lines = ['1\n', `"${'x'.repeat(500)}"\n`, '2\n', '3\n'];
  for (const line of lines) gatherer.write(line);
  await Promise.resolve();
  expect(takeAll(ring, consumer)).toBe(lines.join(''));
});

test('of wide characters, too, never more gathers than a record may have', async () => {
  const { ring, consumer, gatherer } = gathererOf(4_096, { lineBytesMax: 512 });
  const lines = Array.from({ length: 150 }, (_, at) => `"${'€'.repeat(at % 40)}"\n`);
  for (const line of lines) gatherer.write(line);
  await Promise.resolve();
  expect(takeAll(ring, consumer)).toBe(lines.join(''));
  expect(ring.count(SLOT.tooLong)).toBe(0);
});

describe('before the ring is closed', () => {
  test('a thread that is asked to puts each line at once', () => {
    const { ring, consumer, gatherer } = gathererOf();
    gatherer.write('1\n');
    expect([ring.drain(), ring.isGathering()]).toEqual([true, true]);
    gatherer.write('2\n');
    expect([ring.isGathering(), takeAll(ring, consumer)]).toEqual([false, '1\n2\n']);
    expect(ring.drain()).toBe(true);
    ring.close(LIFE.closed);
    expect(ring.drain()).toBe(false);
    expect(Atomics.load(ring.words, WORD.life)).toBe(LIFE.closed);
    gatherer.write('3\n');
    expect([ring.gatheredLines(), ring.count(SLOT.failed)]).toEqual([0, 1]);
  });

  test('one that ended holds up nobody, and its lines are counted', () => {
    const { ring, producer, gatherer } = gathererOf();
    gatherer.write('1\n');
    gatherer.write('2\n');
    const nobody = 2 ** 30;
    Atomics.store(ring.words, producer.slot + SLOT.owner, nobody);
    expect(ring.isGathering()).toBe(false);
    ring.endThreads((_, thread) => thread === nobody);
    ring.freeSlots();
    expect([ring.gatheredLines(), ring.pendingLines(), Atomics.load(ring.totals, TOTAL.torn)]).toEqual([0, 0, 2n]);
  });
});

describe('a ring without room', () => {
  test.each(['drop-newest', 'drop-oldest'] as const)('`%s`: each line of a record is counted', (whenFull) => {
    const { ring, consumer, gatherer } = gathererOf(256, { ringBytes: 1_024, lineBytesMax: 256, whenFull });
    for (let number = 0; number < 500; number++) gatherer.write(`{"n":${number}}\n`);
    gatherer.put();
    const dropped = ring.count(SLOT.droppedNewest) + ring.count(SLOT.droppedOldest);
    const lines = takeAll(ring, consumer).split('\n').slice(0, -1);
    expect(dropped).toBeGreaterThan(300);
    expect(lines.length + dropped).toBe(500);
    expect(lines.includes('{"n":0}')).toBe(whenFull === 'drop-newest');
    expect(lines.includes('{"n":499}')).toBe(whenFull === 'drop-oldest');
  });
});

test('a line that is logged while lines are put is neither lost nor forgotten', () => {
  const ring = LineRing.create({ ringBytes: 1_024, lineBytesMax: 256, threadsMax: 4 });
  const consumer = new RingConsumer(ring);
  let taken = '';
  const producer = new RingProducer(ring, {
    onWait() {
      gatherer.write('"trouble"\n');
      expect(ring.gatheredLines()).toBe(1);
      taken += takeAll(ring, consumer);
    },
  });
  const gatherer = new LineGatherer(ring, producer, 256);
  let number = 0;
  for (; taken === ''; number++) gatherer.write(`{"n":${number}}\n`);
  gatherer.put();
  taken += takeAll(ring, consumer);
  expect(taken.split('\n')).toHaveLength(number + 2);
  expect([taken.includes('"trouble"'), ring.gatheredLines()]).toEqual([true, 0]);
});
