/**
 * Writes numbered lines through a sink until it is told, or made, to end.
 *
 * Argument: JSON of `Order`. It says on the channel of its parent, descriptor 3, how many lines it has handed in.
 */
import { writeSync } from 'node:fs';
import { FileSink, type FileSinkOptions } from '../src/file-sink.ts';

export interface Order {
  sink: FileSinkOptions;
  /** Lines are `{"by":…,"n":0}`, `{"by":…,"n":1}` … */
  by?: string;
  lines: number;
  padding?: number;
  /** `acks` writes on until it is killed, and tells each batch. */
  ending: 'exit' | 'exit-handler' | 'throw' | 'reject' | 'loop' | 'signal' | 'listened-signal' | 'close' | 'acks';
}

const order = JSON.parse(process.argv[2] as string) as Order;
const sink = new FileSink(order.sink);
const padding = order.padding ? `,"pad":"${'x'.repeat(order.padding)}"` : '';
let n = 0;
const writeLine = () => sink.write(`{"by":"${order.by ?? 'a'}","n":${n++}${padding}}\n`);

const tell = (words: string) => writeSync(3, `${words}\n`);

function writeBatches(lines: number, then: () => void): void {
  for (let left = Math.min(1_000, lines); left > 0; left--) writeLine();
  if (lines > 1_000) setImmediate(writeBatches, lines - 1_000, then);
  else then();
}

/** A batch is small enough for a kill to fall anywhere: between lines, into a write, into the linger. */
function writeAndTell(): void {
  for (let left = order.sink.durability === 'always' ? 1 : 1 + (n % 97); left > 0; left--) writeLine();
  tell(`${n} ${Date.now()}`);
  setTimeout(writeAndTell, n % 3);
}

const ENDINGS: Record<Order['ending'], () => void> = {
  exit: () => process.exit(3),
  'exit-handler': () => {
    // It runs after the sink's own.
    process.on('exit', writeLine);
    process.exit(3);
  },
  throw: () => {
    throw new Error('thrown on purpose');
  },
  reject: () => void Promise.reject(new Error('rejected on purpose')),
  loop: () => undefined,
  signal: () => {
    setInterval(() => undefined, 1_000);
    tell('ready');
  },
  'listened-signal': () => {
    const waiting = setInterval(() => undefined, 1_000);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
      process.once(signal, () => {
        writeLine();
        clearInterval(waiting);
        setTimeout(() => process.exit(7), 50);
      });
    }
    tell('ready');
  },
  close: () => void sink.close().then(() => tell(JSON.stringify(sink.stats()))),
  acks: () => writeAndTell(),
};

writeBatches(order.lines, ENDINGS[order.ending]);
