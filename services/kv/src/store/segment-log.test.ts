import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { LogCorrupt } from './log.ts';
import { FRAME_HEADER_BYTES, frameBytes, RECORD_BODY_BYTES_MAX } from './record-frame.ts';
import {
  appendAll,
  bytes,
  changeByte,
  names,
  records,
  segmentPaths,
  TestFolders,
  texts,
} from './segment-log.fixture.ts';
import type { SegmentLogOptions } from './segment-log.ts';

const folders = new TestFolders();

describe.each<Partial<SegmentLogOptions>>([{ sync: 'always' }, { sync: 'always', useDsync: false }, { sync: 'none' }])(
  'a log with %j',
  (options) => {
    it('gives back what was appended, in order, with the positions append told', async () => {
      const bodies = ['', 'a', 'b'.repeat(7), 'c'.repeat(8), 'd'.repeat(9), 'e'.repeat(5_000)];
      await folders.withLog(options, async (log) => {
        expect(log.end).toBe(0);
        const ends = await appendAll(log, bodies);
        expect(ends).toEqual(ends.toSorted((a, b) => a - b));
        expect(log.end).toBe(ends.at(-1));
        expect(await texts(log)).toEqual(bodies);
        expect((await records(log)).map((record) => record.end)).toEqual(ends);
      });
    });

    it('goes on after a reopen where it ended', async () => {
      const [end = 0] = await folders.withLog(options, (log) => appendAll(log, ['before']));
      await folders.withLog(options, async (log) => {
        expect(log.end).toBe(end);
        await appendAll(log, ['after']);
        expect(await texts(log)).toEqual(['before', 'after']);
        expect(await texts(log, end)).toEqual(['after']);
        expect(await texts(log, log.end)).toEqual([]);
      });
    });

    it('goes over segments as if they were one', async () => {
      const bodies = Array.from({ length: 50 }, (_, index) => String(index).repeat(200));
      const ends = await folders.withLog({ ...options, segmentBytes: 1_024 }, (log) => appendAll(log, bodies));
      expect(segmentPaths(folders.current).length).toBeGreaterThan(10);
      await folders.withLog({ ...options, segmentBytes: 1_024 }, async (log) => {
        expect(await texts(log)).toEqual(bodies);
        for (const [index, end] of ends.entries()) expect(await texts(log, end)).toEqual(bodies.slice(index + 1));
      });
    });
  },
);

describe('records', () => {
  it('are joined from their parts, few or thousands, short or long', async () => {
    await folders.withLog({ segmentBytes: 8 << 20 }, async (log) => {
      const few = [Buffer.from('one'), Buffer.alloc(0), Buffer.from('two')];
      const thousands = Array.from({ length: 5_000 }, (_, index) => Buffer.from(`part ${index};`.repeat(10)));
      const long = [Buffer.alloc(3 << 20, 1), Buffer.alloc(12_345, 2)];
      for (const parts of [[], few, thousands, long, few]) await log.append(parts);
      const expected = [[], few, thousands, long, few].map((parts) => Buffer.concat(parts).toString('latin1'));
      expect(await texts(log)).toEqual(expected);
    });
  });

  it.each([65_536 - FRAME_HEADER_BYTES - 1, 65_536 - FRAME_HEADER_BYTES, 65_536 - FRAME_HEADER_BYTES + 1])(
    'of %i bytes pass the edge between copying and listing',
    async (size) => {
      await folders.withLog({ segmentBytes: 1 << 20 }, async (log) => {
        await appendAll(log, ['x'.repeat(size), 'next']);
        expect(await texts(log)).toEqual(['x'.repeat(size), 'next']);
      });
    },
  );

  it('fill a segment to its last byte, and one byte more begins the next', async () => {
    const whole = 'x'.repeat(1_024 - FRAME_HEADER_BYTES);
    const half = 'y'.repeat(512 - FRAME_HEADER_BYTES);
    await folders.withLog({ segmentBytes: 1_024 }, async (log) => {
      await appendAll(log, [half, half]);
      expect(segmentPaths(folders.current)).toHaveLength(1);
      await appendAll(log, [whole]);
      expect(segmentPaths(folders.current)).toHaveLength(2);
      await appendAll(log, [half, `${half}y`]);
      expect(segmentPaths(folders.current)).toHaveLength(4);
      expect(await texts(log)).toEqual([half, half, whole, half, `${half}y`]);
    });
  });

  it('longer than a segment have one of their own', async () => {
    const bodies = ['small', 'L'.repeat(10_000), 'M'.repeat(20_000), 'after'];
    await folders.withLog({ segmentBytes: 1_024 }, (log) => appendAll(log, bodies));
    expect(segmentPaths(folders.current)).toHaveLength(4);
    await folders.withLog({ segmentBytes: 1_024 }, async (log) => expect(await texts(log)).toEqual(bodies));
  });

  it('longer than the most are refused and did not happen', async () => {
    await folders.withLog({}, async (log) => {
      const part = Buffer.alloc(RECORD_BODY_BYTES_MAX / 4);
      await expect(log.append([part, part, part, part, Buffer.alloc(1)])).rejects.toThrow(RangeError);
      await appendAll(log, ['fine']);
      expect(await texts(log)).toEqual(['fine']);
    });
  });

  it('are fresh copies: changing one changes nothing else', async () => {
    await folders.withLog({}, async (log) => {
      await appendAll(log, ['first', 'second']);
      for (const record of await records(log)) record.body.fill(0);
      expect(await texts(log)).toEqual(['first', 'second']);
    });
  });
});

describe('a torn tail', () => {
  const kept = ['first', 'second record'];
  const torn = 'the one that was being written';

  it.each(['cut short', 'zeros behind'])('is cut off at whatever byte it ends (%s)', async (way) => {
    const [, keptEnd = 0, end = 0] = await folders.withLog({}, (log) => appendAll(log, [...kept, torn]));
    // With zeros behind, a record that only lacks its padding is whole.
    const wholeBytes = way === 'cut short' ? end - keptEnd : FRAME_HEADER_BYTES + torn.length;
    for (let present = 0; present < wholeBytes; present++) {
      const crashed = folders.crashCopy();
      const [path = ''] = segmentPaths(crashed);
      fs.truncateSync(path, keptEnd + present);
      if (way === 'zeros behind') fs.truncateSync(path, 4_096);
      await expectCleanCut(crashed, keptEnd);
    }
  });

  async function expectCleanCut(crashed: string, keptEnd: number): Promise<void> {
    const again = await folders.withLog(
      {},
      async (log) => {
        expect(log.end).toBe(keptEnd);
        expect(await texts(log)).toEqual(kept);
        await appendAll(log, ['new']);
        return folders.crashCopy(crashed);
      },
      crashed,
    );
    await folders.withLog({}, async (log) => expect(await texts(log)).toEqual([...kept, 'new']), again);
  }

  it.each(['header', 'body'])('is what a flipped bit in the last record (its %s) is taken for', async (where) => {
    const [, keptEnd = 0] = await folders.withLog({}, (log) => appendAll(log, [...kept, torn]));
    const [first, count] = where === 'header' ? [0, FRAME_HEADER_BYTES] : [FRAME_HEADER_BYTES, torn.length];
    for (let at = first; at < first + count; at++) {
      const crashed = folders.crashCopy();
      changeByte(segmentPaths(crashed)[0] ?? '', keptEnd + at, (byte) => byte ^ (1 << (at % 8)));
      await expectCleanCut(crashed, keptEnd);
    }
  });

  it('never comes back, even when a new record of the same length ends where a whole old one begins', async () => {
    // A page each: appending writes zeros up to the end of a page, and those must not be what saves us.
    const [a = '', b = '', c = '', d = ''] = ['a', 'b', 'c', 'd'].map((l) => l.repeat(4_096 - FRAME_HEADER_BYTES));
    // Unsynced pages reach the disk in any order: the second record is lost, the third is whole.
    const [end = 0] = await folders.withLog({ sync: 'none' }, async (log) => {
      const ends = await appendAll(log, [a, b, c, d]);
      folders.current = folders.crashCopy();
      return ends;
    });
    changeByte(segmentPaths(folders.current)[0] ?? '', end + FRAME_HEADER_BYTES, () => 0);
    const crashed = await folders.withLog({ sync: 'none' }, async (log) => {
      expect(await texts(log)).toEqual([a]);
      await appendAll(log, [b.toUpperCase()]);
      return folders.crashCopy();
    });
    const found = await folders.withLog({ sync: 'none' }, (log) => texts(log), crashed);
    expect(found).toEqual([a, b.toUpperCase()]);
  });

  it('holding bytes shaped like a later record is still only a torn tail', async () => {
    // A value may be a copy of a log. Position and crc fit; only the magic of the segment does not.
    const twin = folders.create();
    const inner = frameBytes(0);
    await folders.withLog({ startAt: frameBytes(5) + inner }, (log) => appendAll(log, ['forged']), twin);
    const forged = fs.readFileSync(segmentPaths(twin)[0] ?? '').subarray(0, frameBytes(6));
    const end = await folders.withLog({}, async (log) => {
      const [keptEnd = 0] = await appendAll(log, ['first']);
      await log.append([forged, Buffer.from('and more')]);
      return keptEnd;
    });
    changeByte(segmentPaths(folders.current)[0] ?? '', end + inner + forged.byteLength, (byte) => byte ^ 1);
    await folders.withLog({}, async (log) => expect(await texts(log)).toEqual(['first']));
  });

  it('may be the whole of the last segment', async () => {
    const body = 'x'.repeat(900);
    await folders.withLog({ segmentBytes: 1_024 }, (log) => appendAll(log, [body, body]));
    changeByte(segmentPaths(folders.current)[1] ?? '', 500, (byte) => byte ^ 1);
    await folders.withLog({ segmentBytes: 1_024 }, async (log) => {
      expect(await texts(log)).toEqual([body]);
      await appendAll(log, ['new']);
      expect(await texts(log)).toEqual([body, 'new']);
    });
  });
});

describe('damage before a valid record', () => {
  it('is reported at open, whichever byte it is, and leaves the folder as it was', async () => {
    const [start = 0] = await folders.withLog({}, (log) => appendAll(log, ['first', 'damaged', 'last']));
    const frame = FRAME_HEADER_BYTES + 'damaged'.length;
    for (let at = 0; at < frame; at++) {
      const damaged = folders.crashCopy();
      const path = segmentPaths(damaged)[0] ?? '';
      changeByte(path, start + at, (byte) => byte ^ (1 << (at % 8)));
      const before = fs.readFileSync(path);
      await expect(folders.open({}, damaged)).rejects.toThrow(LogCorrupt);
      expect(fs.readFileSync(path).equals(before)).toBe(true);
    }
  });

  it('is reported when the disk lost megabytes in between', async () => {
    await folders.withLog({ segmentBytes: 16 << 20 }, (log) =>
      appendAll(log, ['first', 'x'.repeat(3_000_000), 'y'.repeat(3_000_000), 'last']),
    );
    const [path = ''] = segmentPaths(folders.current);
    const handle = fs.openSync(path, 'r+');
    fs.writeSync(handle, Buffer.alloc(6_000_000), 0, undefined, frameBytes(5));
    fs.closeSync(handle);
    await expect(folders.open({ segmentBytes: 16 << 20 })).rejects.toThrow(/position 32, yet one at 6000080/);
  });

  it('is reported in a log without sync when it had been flushed', async () => {
    await folders.withLog({ sync: 'none' }, async (log) => {
      await appendAll(log, ['first']);
      await log.flush();
      await appendAll(log, ['last']);
    });
    changeByte(segmentPaths(folders.current)[0] ?? '', FRAME_HEADER_BYTES, (byte) => byte ^ 1);
    await expect(folders.open({ sync: 'none' })).rejects.toThrow(LogCorrupt);
  });

  it('in an earlier segment is reported by replay, after the records in front of it', async () => {
    const bodies = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(400));
    await folders.withLog({ segmentBytes: 1_024 }, (log) => appendAll(log, bodies));
    changeByte(segmentPaths(folders.current)[0] ?? '', frameBytes(400) + 100, (byte) => byte ^ 1);
    await folders.withLog({ segmentBytes: 1_024 }, async (log) => {
      const found: string[] = [];
      const reading = (async () => {
        for await (const record of log.replay(0)) found.push(Buffer.from(record.body).toString());
      })();
      await expect(reading).rejects.toThrow(LogCorrupt);
      expect(found).toEqual(bodies.slice(0, 1));
      expect(await texts(log, frameBytes(400) * 2)).toEqual(bodies.slice(2));
    });
  });

  it('is reported when a whole segment is missing', async () => {
    const bodies = ['a', 'b', 'c'].map((letter) => letter.repeat(900));
    await folders.withLog({ segmentBytes: 1_024 }, (log) => appendAll(log, bodies));
    fs.rmSync(segmentPaths(folders.current)[1] ?? '');
    await folders.withLog({ segmentBytes: 1_024 }, async (log) => {
      await expect(texts(log)).rejects.toThrow(LogCorrupt);
    });
  });
});

describe('trim', () => {
  const segmentBytes = 4_096;
  const body = (index: number): string => String(index).padStart(4, '0').repeat(250);
  const range = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, index) => body(from + index));

  it('keeps everything after the position, and the active segment', async () => {
    await folders.withLog({ segmentBytes }, async (log) => {
      const ends = await appendAll(log, range(0, 20));
      for (const [index, end] of ends.entries()) {
        await log.trim(end);
        expect(await texts(log, end)).toEqual(range(index + 1, 20));
      }
      expect(segmentPaths(folders.current)).toHaveLength(1);
      await appendAll(log, range(20, 22));
      expect(await texts(log, ends.at(-1))).toEqual(range(20, 22));
    });
  });

  it('keeps a segment until the position has reached its last byte', async () => {
    await folders.withLog({ segmentBytes, spareSegmentsMax: 0 }, async (log) => {
      const ends = await appendAll(log, range(0, 5));
      const sealedEnd = ends[3] ?? 0;
      await log.trim(sealedEnd - 1);
      expect(segmentPaths(folders.current)).toHaveLength(2);
      await log.trim(sealedEnd);
      expect(segmentPaths(folders.current)).toHaveLength(1);
    });
  });

  it('makes replay from before the log’s beginning fail loudly', async () => {
    await folders.withLog({ segmentBytes }, async (log) => {
      await appendAll(log, range(0, 20));
      await log.trim(log.end);
      await expect(texts(log, 0)).rejects.toThrow(LogCorrupt);
      await expect(texts(log, log.end + 8)).rejects.toThrow(LogCorrupt);
    });
  });

  it('turns segments into spares up to the bound, whose old records are never seen', async () => {
    await folders.withLog({ segmentBytes, spareSegmentsMax: 3 }, async (log) => {
      // Equal records and segments: every old frame lies exactly where a new one would.
      for (let round = 0; round < 12; round++) {
        const from = log.end;
        await appendAll(log, range(round * 8, round * 8 + 8));
        await log.trim(from);
        expect(names('.spare', folders.current).length).toBeLessThanOrEqual(3);
        const crashed = folders.crashCopy();
        const found = await folders.withLog({ segmentBytes }, (copy) => texts(copy, from), crashed);
        expect(found).toEqual(range(round * 8, round * 8 + 8));
      }
      expect(log.sizeBytes).toBeLessThanOrEqual(8 * segmentBytes);
    });
  });

  it('leaves files that were reused: a log trimmed as it grows stays at a handful of files', async () => {
    await folders.withLog({ segmentBytes }, async (log) => {
      for (let index = 0; index < 200; index++) await log.trim(await log.append(bytes(body(index))));
      expect(fs.readdirSync(folders.current).length).toBeLessThanOrEqual(4);
    });
  });

  it('may run while appends go on', async () => {
    await folders.withLog({ segmentBytes }, async (log) => {
      const trims: Promise<void>[] = [];
      for (let index = 0; index < 100; index++) trims.push(log.trim(await log.append(bytes(body(index)))));
      await Promise.all(trims);
      const from = Number.parseInt(names('.log', folders.current)[0] ?? '', 16);
      const found = await texts(log, from);
      expect(found).toEqual(range(100 - found.length, 100));
    });
  });
});

describe('the folder', () => {
  it('of an empty log costs nothing, and of a small one little, however long a segment may become', async () => {
    await folders.withLog({ segmentBytes: 64 << 20 }, async (log) => {
      expect(log.sizeBytes).toBe(0);
      await appendAll(log, ['one']);
    });
    const [path = ''] = segmentPaths(folders.current);
    expect(fs.readdirSync(folders.current)).toHaveLength(1);
    expect(fs.statSync(path).size).toBeLessThanOrEqual(300 * 1024);
  });

  it('has a spare ready before the segment is full', async () => {
    await folders.withLog({ segmentBytes: 1 << 20 }, async (log) => {
      await log.append([Buffer.alloc(600 * 1024)]);
      // Asked of the log, not of the folder: the file has its name a moment before the log may hand it out.
      for (let tries = 0; log.sizeBytes <= 1 << 20 && tries < 500; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect(names('.spare', folders.current)).toHaveLength(1);
      // Less than half of a segment, or this one would ask for the next spare at once.
      await log.append([Buffer.alloc(500 * 1024)]);
      expect(names('.spare', folders.current)).toHaveLength(0);
      expect(segmentPaths(folders.current)).toHaveLength(2);
    });
  });

  it('is cleared of spares that are unfinished, too many or of another size', async () => {
    await folders.withLog({ segmentBytes: 1_024 }, (log) => appendAll(log, ['kept']));
    fs.writeFileSync(join(folders.current, 'a.unfinished'), 'half');
    fs.writeFileSync(join(folders.current, 'b.spare'), Buffer.alloc(1_000));
    for (const name of ['c', 'd', 'e']) fs.writeFileSync(join(folders.current, `${name}.spare`), Buffer.alloc(1_024));
    fs.writeFileSync(join(folders.current, 'README'), 'not ours');
    await folders.withLog({ segmentBytes: 1_024, spareSegmentsMax: 2 }, async (log) => {
      expect(names('.spare', folders.current)).toHaveLength(2);
      expect(names('.unfinished', folders.current)).toHaveLength(0);
      expect(names('README', folders.current)).toHaveLength(1);
      expect(await texts(log)).toEqual(['kept']);
    });
  });

  it('may be given another segment size', async () => {
    await folders.withLog({ segmentBytes: 1_024 }, (log) => appendAll(log, ['a'.repeat(800), 'b'.repeat(800)]));
    await folders.withLog({ segmentBytes: 512 }, (log) => appendAll(log, ['c']));
    await folders.withLog({ segmentBytes: 1 << 20 }, async (log) => {
      await appendAll(log, ['d']);
      expect(await texts(log)).toEqual(['a'.repeat(800), 'b'.repeat(800), 'c', 'd']);
    });
  });
});

describe('startAt', () => {
  it('begins a new log there', async () => {
    const startAt = Number.MAX_SAFE_INTEGER - 1_000_003;
    const end = await folders.withLog({ startAt }, async (log) => {
      expect(log.end).toBe(startAt);
      return log.append(bytes('far out'));
    });
    expect(end).toBe(startAt + frameBytes('far out'.length));
    await folders.withLog({ startAt }, async (log) => expect(await texts(log, startAt)).toEqual(['far out']));
  });

  it('ahead of the log drops the log', async () => {
    const end = await folders.withLog({}, (log) => log.append(bytes('old')));
    await folders.withLog({ startAt: end + 1 }, async (log) => {
      expect(log.end).toBe(end + 1);
      await appendAll(log, ['new']);
      expect(await texts(log, end + 1)).toEqual(['new']);
    });
    expect(segmentPaths(folders.current)).toHaveLength(1);
  });

  it('at the end of the log or before it changes nothing', async () => {
    const end = await folders.withLog({}, (log) => log.append(bytes('old')));
    for (const startAt of [end, end - 1, 0]) {
      await folders.withLog({ startAt }, async (log) => expect(await texts(log)).toEqual(['old']));
    }
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53])('%p is not a position', async (startAt) => {
    await expect(folders.open({ startAt })).rejects.toThrow(RangeError);
  });
});

describe('use', () => {
  it('of append while one is under way throws', async () => {
    await folders.withLog({}, async (log) => {
      const first = log.append(bytes('first'));
      expect(() => log.append(bytes('second'))).toThrow(/under way/);
      await first;
      await appendAll(log, ['third']);
      expect(await texts(log)).toEqual(['first', 'third']);
    });
  });

  it('after close throws', async () => {
    const log = await folders.open();
    await log.close();
    expect(() => log.append(bytes('x'))).toThrow(/closed/);
    expect(() => log.replay(0)).toThrow(/closed/);
    expect(() => log.trim(0)).toThrow(/closed/);
    await expect(log.flush()).rejects.toThrow(/closed/);
    await log.close();
  });

  it('of close waits for the append under way', async () => {
    const log = await folders.open();
    const appended = log.append([Buffer.alloc(1_000_000, 7)]);
    await log.close();
    const end = await appended;
    await folders.withLog({}, async (again) => expect(again.end).toBe(end));
  });
});
