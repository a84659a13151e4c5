/**
 * Where everything stands in the shared memory of a ring: control words, totals, one slot a thread, the ring itself
 * with its overhang, and the batch that the writer has taken out and not yet written.
 */
import type { WhenFull } from '../line-sink.ts';

/** Control words, by index into an Int32Array. Each has a cache line of its own: they belong to different threads. */
export const WORD = {
  /** Position after the last reserved record. Bit 0: closed, no reservation succeeds. */
  head: 0,
  /** Position of the oldest record that is still needed. Bit 0: the consumer copies from here, nobody may drop it. */
  tail: 16,
  /** How the writer sleeps: one of `SLEEP`. */
  sleep: 32,
  /** 1: a producer waits for room. */
  roomWanted: 48,
  /** Everything before this position was handed to the operating system, or counted. */
  written: 64,
  /** Everything before this position is as safe as the durability says. */
  safe: 80,
  /** 1: somebody wants all that was taken to be written (and synced) now. */
  urgent: 96,
  /** One of `LIFE`. */
  life: 112,
  /** Operating system's thread id of the writer; 0: none. */
  writerThread: 128,
  /** 1: the file cannot be written at the moment. */
  failing: 144,
  /** Bytes in the batch that was taken out of the ring. */
  batchBytes: 160,
  /** Of these, handed to the operating system. */
  batchWritten: 161,
  /** Lines in the batch. */
  batchLines: 162,
  /** 1: somebody waits for `safe` or `written`. */
  doneWanted: 176,
} as const;

export const SLEEP = {
  /** The writer works and will look again by itself. */
  awake: 0,
  /** It gathers lines: wake it when many wait. */
  linger: 1,
  /** Nothing was there: wake it with the first line. */
  deep: 2,
  /** It waits for something else than lines: a record in the making, or the disk. Do not wake it. */
  stalled: 3,
} as const;

export const LIFE = {
  open: 0,
  /** By `close()`: lines that follow are counted as failed. */
  closed: 1,
  /** The process ends: threads that still log wait for the end, so that no call returns without its line kept. */
  ending: 2,
  /** The file stayed in trouble for too long: what is left is given up and counted. */
  abandoned: 3,
  /** About to be closed: threads put what they have gathered, and gather no more. */
  draining: 4,
} as const;

/** Counters of the writer, by index into a BigInt64Array; `fileBytes`: the file's size before the batch was written. */
export const TOTAL = {
  writtenLines: 0,
  writtenBytes: 1,
  torn: 2,
  errors: 3,
  failedLines: 4,
  syncs: 5,
  fileBytes: 6,
} as const;

/** Words of a slot. Counters are pairs (low, high) and belong to the slot: its next owner counts on. */
export const SLOT = {
  /** 0: free. -1: its thread is over, its announcement still stands. Otherwise the thread's identity. */
  owner: 0,
  /** `worker_threads.threadId` of the owner. */
  threadId: 1,
  /** Position that the owner tries to reserve or has reserved, with bit 0 set. 0: none. */
  announced: 2,
  committed: 4,
  droppedNewest: 6,
  droppedOldest: 8,
  tooLong: 10,
  failed: 12,
  /** One word: lines that the owner has taken and not yet put into the ring. */
  gathered: 14,
} as const;

export const SLOT_WORDS = 32;
export const SLOT_FREE = 0;
export const SLOT_DEAD = -1;

/** Bits of a record's second word; the rest is the length of its text in bytes. */
export const RECORD = { lengthMask: 0x0fffffff, notice: 0x10000000, void: 0x20000000 } as const;

/** Bytes of a record's header: the commit word, the length, the number of lines. */
export const HEADER_BYTES = 12;

const TOTALS_AT = 1024;
const SLOTS_AT = 2048;
const PAGE = 4096;

export interface RingOptions {
  /** Bytes of lines that may wait for the writer: a power of two from 1 KiB to 1 GiB. Default 4 MiB. */
  ringBytes?: number;
  /** A longer line is counted, not taken. Default and most: a quarter of the ring. */
  lineBytesMax?: number;
  /** Threads that may log at one time. Default 64. */
  threadsMax?: number;
  /** Bytes that the writer takes out at once. Default 256 KiB, at least one line. */
  batchBytes?: number;
  whenFull?: WhenFull;
  /** First position, for tests of the wrap. */
  startPosition?: number;
}

/** What another thread needs to write into the same ring. Goes through `workerData` and `postMessage`. */
export interface RingHandle {
  kind: 'plinth.line-ring.1';
  buffer: SharedArrayBuffer;
  ringBytes: number;
  lineBytesMax: number;
  threadsMax: number;
  batchBytes: number;
  whenFull: WhenFull;
}

export interface RingViews {
  words: Int32Array;
  totals: BigInt64Array;
  /** The ring and its overhang, as words and as bytes. */
  recordWords: Int32Array;
  recordBytes: Buffer;
  batch: Buffer;
}

const pageUp = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

/** Bytes in front of the ring. */
const ringAt = (threadsMax: number): number => pageUp(SLOTS_AT + threadsMax * SLOT_WORDS * 4);

/** A record that begins in the ring's last bytes runs on into these. */
const overhangBytes = (lineBytesMax: number): number => pageUp(lineBytesMax + HEADER_BYTES + 16);

export const slotAt = (slot: number): number => SLOTS_AT / 4 + slot * SLOT_WORDS;

export function viewsOf(handle: RingHandle): RingViews {
  const { buffer, ringBytes, lineBytesMax, batchBytes, threadsMax } = handle;
  const at = ringAt(threadsMax);
  const bytes = ringBytes + overhangBytes(lineBytesMax);
  return {
    words: new Int32Array(buffer, 0, at / 4),
    totals: new BigInt64Array(buffer, TOTALS_AT, 16),
    recordWords: new Int32Array(buffer, at, bytes / 4),
    recordBytes: Buffer.from(buffer, at, bytes),
    batch: Buffer.from(buffer, pageUp(at + bytes), batchBytes),
  };
}

/** @throws RangeError for a size that is not possible, with what is. */
export function newHandle(options: RingOptions): RingHandle {
  const { ringBytes = 4 * 1024 * 1024, threadsMax = 64, whenFull = 'block' } = options;
  if (!Number.isInteger(Math.log2(ringBytes)) || ringBytes < 1024 || ringBytes > 2 ** 30) {
    throw new RangeError(`ringBytes is ${ringBytes}; it must be a power of two from 1,024 to 1,073,741,824`);
  }
  if (!['block', 'drop-newest', 'drop-oldest'].includes(whenFull)) {
    throw new RangeError(`whenFull is "${whenFull}"; it must be "block", "drop-newest" or "drop-oldest"`);
  }
  const { lineBytesMax = ringBytes / 4 } = options;
  if (!Number.isInteger(lineBytesMax) || lineBytesMax < 128 || lineBytesMax > ringBytes / 4) {
    throw new RangeError(
      `lineBytesMax is ${lineBytesMax}; it must be from 128 to ${ringBytes / 4}, a quarter of the ring`,
    );
  }
  if (!Number.isInteger(threadsMax) || threadsMax < 1 || threadsMax > 1024) {
    throw new RangeError(`threadsMax is ${threadsMax}; it must be from 1 to 1,024`);
  }
  // Room for one line and for what the writer itself has to tell.
  const batchBytes = pageUp(Math.max(options.batchBytes ?? Math.min(262_144, ringBytes), lineBytesMax) + 1024);
  const at = ringAt(threadsMax);
  const buffer = new SharedArrayBuffer(pageUp(at + ringBytes + overhangBytes(lineBytesMax)) + batchBytes);
  return { kind: 'plinth.line-ring.1', buffer, ringBytes, lineBytesMax, threadsMax, batchBytes, whenFull };
}
