/** Lines that are encoded and wait for their write, with the memory they lie in. */
import type { Block } from '@plinth/buffer-pool';
import type { TakenNotice } from './drop-notices.ts';

const NEWLINE = 0x0a;

export interface LineCounts {
  lines: number;
  firstLine: number;
  notice: TakenNotice | undefined;
}

/** A run of whole lines in a pooled block, or in memory of its own for a line that is longer than a block. */
export class GatheredLines {
  readonly block: Block;
  readonly bytes: Uint8Array;
  /** Bytes before this are written. */
  start = 0;
  /** Lines after `start` that count: a notice of ours does not. */
  lines: number;
  isInFlight = false;
  /** How many lines were taken before these. */
  readonly firstLine: number;
  /** What the first of the lines tell of, until they are written. */
  #notice: TakenNotice | undefined;
  #noticeLines: number;

  constructor(block: Block, bytes: Uint8Array, { lines, firstLine, notice }: LineCounts) {
    this.block = block;
    this.bytes = bytes;
    this.lines = lines;
    this.firstLine = firstLine;
    this.#notice = notice;
    this.#noticeLines = notice?.lines ?? 0;
  }

  /** The notice that is lost when these are dropped. */
  get notice(): TakenNotice | undefined {
    return this.#notice;
  }

  get rest(): Uint8Array {
    return this.start === 0 ? this.bytes : this.bytes.subarray(this.start);
  }

  get isWritten(): boolean {
    return this.start === this.bytes.length;
  }

  /** A pipe took half of a line: that line's rest cannot be dropped any more. */
  get isMidLine(): boolean {
    return this.start > 0 && this.bytes[this.start - 1] !== NEWLINE;
  }

  /** So many bytes more were written. @returns How many lines that finished. */
  advance(writtenBytes: number): number {
    const before = this.start;
    this.start += writtenBytes;
    const finished = this.isWritten ? this.lines : this.#linesWithin(before, this.start);
    this.lines -= finished;
    return finished;
  }

  #linesWithin(from: number, to: number): number {
    const newlines = newlinesIn(this.bytes, from, to);
    const ofNotice = Math.min(newlines, this.#noticeLines);
    this.#noticeLines -= ofNotice;
    if (this.#noticeLines === 0) this.#notice = undefined;
    return newlines - ofNotice;
  }
}

/** Newlines in a part of the bytes. Cost: a few nanoseconds a line. */
export function newlinesIn(bytes: Uint8Array, from: number, to: number): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE, from); at !== -1 && at < to; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
