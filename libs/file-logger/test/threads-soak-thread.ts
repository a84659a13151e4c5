/** A thread of the soak: one that logs, or the one that reads back. */
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { workerData } from 'node:worker_threads';
import { attachThreadSink, type ThreadLogHandle } from '../src/threads/thread-sink.ts';
import { lineOf } from './threads-lines.ts';

export interface SoakOrder {
  handle: ThreadLogHandle;
  path: string;
  threads: number;
  linesEach: number;
  padMax: number;
  /** Of each thread the lines it has logged; then, from `threads` on, the lines of each that were read back; then faults. */
  table: Int32Array;
  /** Undefined: the reader. */
  thread: number | undefined;
}

/** Lines that a thread may be ahead of the reader, so that no file is removed unread. */
const AHEAD_MAX = 200_000;
/** Lines compared byte by byte: one in so many. Of the others the length is looked at. */
const COMPARED = 16;

const order = workerData as SoakOrder;
const { table, threads, linesEach, padMax } = order;
const cell = new Int32Array(new SharedArrayBuffer(4));
const pause = (ms: number): unknown => Atomics.wait(cell, 0, 0, ms);

function produce(thread: number): void {
  const sink = attachThreadSink(order.handle);
  for (let number = 0; number < linesEach; number++) {
    sink.write(lineOf(thread, number, padMax));
    table[thread] = number + 1;
    if (number % 1_000 === 0) while (number - Atomics.load(table, threads + thread) > AHEAD_MAX) pause(5);
  }
}

/** Follows a log through its rotations. */
class Follower {
  readonly #path: string;
  #fd: number;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'r');
  }

  /** @returns Bytes read; 0: nothing new at the moment. */
  read(into: Buffer, at: number): number {
    const bytes = readSync(this.#fd, into, at, into.length - at, null);
    if (bytes > 0 || !this.#isMovedAway()) return bytes;
    const last = readSync(this.#fd, into, at, into.length - at, null);
    if (last === 0) this.#openNext();
    return last;
  }

  #isMovedAway(): boolean {
    return statSync(this.#path, { throwIfNoEntry: false })?.ino !== fstatSync(this.#fd).ino;
  }

  #openNext(): void {
    const folder = dirname(this.#path);
    const rotated = readdirSync(folder).filter((name) => name.startsWith(`${basename(this.#path)}.2`));
    const files = [...rotated.sort().map((name) => join(folder, name)), this.#path];
    const { ino } = fstatSync(this.#fd);
    const here = files.findIndex((file) => statSync(file, { throwIfNoEntry: false })?.ino === ino);
    const next = openSync(files[here + 1]!, 'r');
    closeSync(this.#fd);
    this.#fd = next;
  }
}

/** Counts a fault for each line that is not the next one of its thread, or not what it wrote. */
function check(line: string): void {
  const comma = line.indexOf(',');
  const thread = Number(line.slice(5, comma));
  const number = Number(line.slice(comma + 5, line.indexOf(',', comma + 1)));
  const isNext = thread < threads && number === table[threads + thread];
  const isWhole = number % COMPARED === 0 ? `${line}\n` === lineOf(thread, number, padMax) : line.endsWith('"}');
  if (!isNext || !isWhole) Atomics.add(table, 2 * threads, 1);
  else Atomics.store(table, threads + thread, number + 1);
}

function readBack(): void {
  const follower = new Follower(order.path);
  const piece = Buffer.alloc(1 << 20);
  let kept = 0;
  for (let read = 0; read < threads * linesEach; ) {
    const bytes = follower.read(piece, kept);
    if (bytes === 0) {
      pause(2);
      continue;
    }
    const end = piece.lastIndexOf(10, kept + bytes - 1) + 1;
    kept += bytes;
    if (end === 0) continue;
    const lines = piece.toString('utf8', 0, end).split('\n');
    lines.pop();
    for (const line of lines) check(line);
    read += lines.length;
    piece.copyWithin(0, end, kept);
    kept -= end;
  }
}

if (order.thread === undefined) readBack();
else produce(order.thread);
