/** The ring by hand: what no luck of scheduling has to bring about. Random interleavings: test/threads-interleaving.test.ts */
import { describe, expect, test } from '@jest/globals';
import { LineRing, unitsOf } from './ring.ts';
import { RingConsumer } from './ring-consumer.ts';
import { HEADER_BYTES, RECORD, type RingOptions, SLOT, slotAt, TOTAL, WORD } from './ring-layout.ts';
import { RingProducer } from './ring-producer.ts';

const DEAD = 111_111;
const ALIVE = 222_222;

/** A thread that stops after the reservation; `commit` goes on. */
function reserve(ring: LineRing, slot: number, owner: number, line: string): { at: number; commit(): void } {
  const { words, recordWords, recordBytes, mask } = ring;
  const at = ring.head();
  Atomics.store(words, slotAt(slot) + SLOT.owner, owner);
  Atomics.store(words, slotAt(slot) + SLOT.announced, at | 1);
  Atomics.store(words, WORD.head, (at + unitsOf(line.length)) | 0);
  return {
    at,
    commit() {
      recordBytes.write(line, ((at & mask) << 3) + HEADER_BYTES);
      recordWords[((at & mask) << 1) + 1] = line.length;
      recordWords[((at & mask) << 1) + 2] = 1;
      Atomics.store(recordWords, (at & mask) << 1, ring.commitWord(at));
      Atomics.store(words, slotAt(slot) + SLOT.announced, 0);
    },
  };
}

function ringOf(options: RingOptions = {}) {
  const ring = LineRing.create({ ringBytes: 1024, threadsMax: 8, ...options });
  const consumer = new RingConsumer(ring, (thread) => thread !== DEAD);
  return { ring, consumer, producer: new RingProducer(ring) };
}

function takeAll(consumer: RingConsumer): string {
  let text = '';
  while (consumer.fill()) {
    const rest = Buffer.from(consumer.batchRest());
    text += rest.toString();
    consumer.noteWritten(rest.length);
  }
  return text;
}

const line = (number: number, pad = 10): string => `{"n":${number},"pad":"${'x'.repeat(pad)}"}\n`;

describe('torn records', () => {
  test('behind one begins a record that is still being written: it is waited for, not skipped', () => {
    const { ring, consumer, producer } = ringOf();
    reserve(ring, 5, DEAD, line(0));
    const second = reserve(ring, 6, ALIVE, line(1));
    producer.write(line(2));
    expect(consumer.fill()).toBe(false);
    expect(consumer.skipTorn()).toBe(true);
    expect(ring.tail()).toBe(second.at);
    expect(consumer.skipTorn()).toBe(false);
    expect(takeAll(consumer)).toBe('');
    second.commit();
    expect(takeAll(consumer)).toBe(line(1) + line(2));
    expect(Atomics.load(ring.totals, TOTAL.torn)).toBe(1n);
  });

  test('two, one after the other, are skipped one by one, and both are counted', () => {
    const { ring, consumer, producer } = ringOf();
    reserve(ring, 4, DEAD, line(0));
    reserve(ring, 5, DEAD, line(1, 100));
    producer.write(line(2));
    expect([consumer.skipTorn(), consumer.skipTorn(), consumer.skipTorn()]).toEqual([true, true, false]);
    expect(takeAll(consumer)).toBe(line(2));
    expect(Atomics.load(ring.totals, TOTAL.torn)).toBe(2n);
  });

  test('one at the very end is skipped up to the head', () => {
    const { ring, consumer, producer } = ringOf();
    reserve(ring, 5, DEAD, line(0));
    expect(consumer.skipTorn()).toBe(true);
    expect(ring.tail()).toBe(ring.head());
    producer.write(line(1));
    expect(takeAll(consumer)).toBe(line(1));
  });

  test('one of a living thread is never skipped, even when a dead one tried for the same place', () => {
    const { ring, consumer } = ringOf();
    const first = reserve(ring, 5, ALIVE, line(0));
    Atomics.store(ring.words, slotAt(6) + SLOT.owner, DEAD);
    Atomics.store(ring.words, slotAt(6) + SLOT.announced, first.at | 1);
    expect(consumer.skipTorn()).toBe(false);
    first.commit();
    expect(takeAll(consumer)).toBe(line(0));
  });

  test('the slot of a dead thread is free only when its record is behind', () => {
    const { ring, consumer, producer } = ringOf();
    producer.write(line(0));
    reserve(ring, 5, DEAD, line(1));
    ring.endThreads((_, thread) => thread === DEAD);
    ring.freeSlots();
    expect(Atomics.load(ring.words, slotAt(5) + SLOT.owner)).toBe(-1);
    takeAll(consumer);
    consumer.skipTorn();
    ring.freeSlots();
    expect(Atomics.load(ring.words, slotAt(5) + SLOT.owner)).toBe(0);
  });
});

describe('what lies in the ring from before', () => {
  test.each([0, 2 ** 32 - 64, 2 ** 31 - 64])('is never taken for a record: positions from %d', (startPosition) => {
    const { ring, consumer, producer } = ringOf({ startPosition });
    // Records of one length: each commit word of a lap stands where one of the lap before stood.
    const length = 64 - HEADER_BYTES - line(0, 0).length;
    for (let number = 0; number < 100; number++) {
      const next = reserve(ring, 5, ALIVE, line(number % 10, length));
      expect(consumer.fill()).toBe(false);
      next.commit();
      expect(takeAll(consumer)).toBe(line(number % 10, length));
    }
    producer.write(line(1));
    expect(takeAll(consumer)).toBe(line(1));
  });

  test('a full ring is full to the last byte, and takes no byte more', () => {
    const { ring, consumer, producer } = ringOf({ whenFull: 'drop-newest', startPosition: 2 ** 32 - 32 });
    const length = 128 - HEADER_BYTES - line(0, 0).length;
    for (let number = 0; number < 8; number++) expect(producer.write(line(number, length))).toBe(true);
    expect(producer.write('1\n')).toBe(false);
    expect(takeAll(consumer).split('\n').length).toBe(9);
    expect(producer.write('1\n')).toBe(true);
    expect(ring.count(SLOT.droppedNewest)).toBe(1);
  });

  test('records that run over the end of the ring are whole, for every place where they can begin', () => {
    const { consumer, producer } = ringOf();
    for (let number = 0; number < 600; number++) {
      const text = line(number % 7, (number * 13) % 200);
      expect(producer.write(text)).toBe(true);
      expect(takeAll(consumer)).toBe(text);
    }
  });
});

describe('closing and taking over', () => {
  test('after a close nothing is taken, and every line is counted', () => {
    const { ring, consumer, producer } = ringOf();
    producer.write(line(0));
    const end = ring.close(1);
    expect(producer.write(line(1))).toBe(false);
    expect(ring.head()).toBe(end);
    expect(takeAll(consumer)).toBe(line(0));
    expect(ring.count(SLOT.failed)).toBe(1);
  });

  test('who takes over from a consumer that died while it copied finds every line in the ring', () => {
    const { ring, producer } = ringOf();
    producer.write(line(0));
    Atomics.or(ring.words, WORD.tail, 1);
    Atomics.store(ring.words, WORD.batchBytes, 500);
    expect(takeAll(new RingConsumer(ring))).toBe(line(0));
  });

  test('who takes over from one that died before it wrote goes on with the batch', () => {
    const { ring, consumer, producer } = ringOf();
    producer.write(line(0));
    producer.write(line(1));
    consumer.fill();
    consumer.noteWritten(line(0).length);
    expect(Buffer.from(new RingConsumer(ring).batchRest()).toString()).toBe(line(1));
  });
});

describe('lines', () => {
  test.each(['ä', '€', '😀', '\ud800', 'ä€😀'])(
    'several lines in one, of every length, with %s in every place',
    (wide) => {
      const { consumer, producer } = ringOf();
      for (let length = 0; length < 16; length++) {
        const ascii = 'x'.repeat(length);
        const places = Array.from({ length: length + 1 }, (_, at) => ascii.slice(0, at) + wide + ascii.slice(at));
        for (const words of [...places, wide.repeat(length), `x${wide.repeat(length)}`]) {
          const text = `"${ascii}"\n"${words}"\n`;
          // The one before tells nothing of the next.
          producer.write('"a"\n"b"\n', 2);
          producer.write(text, 2);
          producer.write('"c"\n"d"\n', 2);
          expect(takeAll(consumer)).toBe(`"a"\n"b"\n${text.toWellFormed()}"c"\n"d"\n`);
        }
      }
    },
  );

  test('ASCII, wide, ill-formed, without a newline: as UTF-8, with a newline', () => {
    const { consumer, producer } = ringOf();
    for (const text of ['"a"\n', '"€"\n', '"\ud800"\n', '"a"\n', '"no newline"', '"ä']) producer.write(text);
    expect(takeAll(consumer)).toBe('"a"\n"€"\n"\ufffd"\n"a"\n"no newline"\n"ä\n');
  });

  test('what is no string is counted and leaves no hole', () => {
    const { ring, consumer, producer } = ringOf();
    for (const wrong of [undefined, null, 7, {}, { length: 5 }]) expect(producer.write(wrong as never)).toBe(false);
    producer.write(line(0));
    expect(takeAll(consumer)).toBe(line(0));
    expect(ring.count(SLOT.failed)).toBe(5);
  });

  test('void records are passed over', () => {
    const { ring, consumer, producer } = ringOf();
    const { commit, at } = reserve(ring, 5, ALIVE, line(0));
    commit();
    ring.recordWords[((at & ring.mask) << 1) + 1]! |= RECORD.void;
    producer.write(line(1));
    expect(takeAll(consumer)).toBe(line(1));
  });

  test.each([
    [{ ringBytes: 1000 }, 'ringBytes is 1000; it must be a power of two from 1,024 to 1,073,741,824'],
    [
      { ringBytes: 4096, lineBytesMax: 1025 },
      'lineBytesMax is 1025; it must be from 128 to 1024, a quarter of the ring',
    ],
    [{ threadsMax: 0 }, 'threadsMax is 0; it must be from 1 to 1,024'],
    [{ whenFull: 'wait' as never }, 'whenFull is "wait"; it must be "block", "drop-newest" or "drop-oldest"'],
  ])('%j is refused with what is possible', (options, message) => {
    expect(() => LineRing.create(options)).toThrow(new RangeError(message));
  });
});
