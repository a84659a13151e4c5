/** The thread that writes: opens the file, empties the ring into it, tells troubles to the thread that started it. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { LogFile, type LogFileOptions } from '../log-file.ts';
import { Notices } from './notice.ts';
import { LineRing } from './ring.ts';
import type { RingHandle } from './ring-layout.ts';
import { WriterLoop } from './writer-loop.ts';

/** What the thread is started with. */
export interface WriterOrder {
  ring: RingHandle;
  file: LogFileOptions;
  lingerMs: number;
  messageKey: string | undefined;
}

/** What it tells. */
export interface WriterNews {
  trouble: { kind: string; code: string; message: string; isOver: boolean };
}

/** What it can be told. */
export type WriterCommand = 'rotate' | 'reopen';

async function writeLines(order: WriterOrder): Promise<void> {
  const { durability = 'none', intervalMs = 100 } = order.file;
  const file = new LogFile({
    ...order.file,
    // A thread that a full pipe holds in the middle of a call could not be ended with the process.
    isWaitless: true,
    onError({ kind, code, message, isOver }) {
      parentPort?.postMessage({ trouble: { kind, code, message, isOver } } satisfies WriterNews);
    },
  });
  parentPort?.on('message', (command: WriterCommand) => (command === 'rotate' ? file.rotateSync() : file.reopenSync()));
  const notices = new Notices({ messageKey: order.messageKey });
  const loop = new WriterLoop(new LineRing(order.ring), file, {
    durability,
    intervalMs,
    lingerMs: order.lingerMs,
    path: order.file.path,
    noticeLine: (lines, reason) => notices.dropped(lines, reason),
  });
  await loop.run();
  loop.close();
  parentPort?.close();
}

if (!isMainThread) await writeLines(workerData as WriterOrder);
