/**
 * Who a thread is, in a way that every other thread of the process can check without asking anybody.
 *
 * Node tells only the parent of a thread that it ended, and only through the parent's event loop, which may be blocked
 * by the very ring that waits for the news. Linux tells everybody: a thread is a folder in /proc/self/task. On other
 * systems the parents' news are all there is (`ProducerSlots.endThread`).
 */
import { existsSync, readlinkSync } from 'node:fs';
import { threadId } from 'node:worker_threads';

/** Threads can be looked up by everybody. */
export const hasTaskFolders = process.platform === 'linux' && existsSync('/proc/self/task');

/** The operating system's id of this thread; where there is none, node's. Positive. Cost: one system call. */
export function ownThread(): number {
  if (!hasTaskFolders) return threadId + 1;
  return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
}

/** @returns false only when the thread surely ended: nothing that it began will ever be completed. */
export function isThreadAlive(thread: number): boolean {
  return !hasTaskFolders || existsSync(`/proc/self/task/${thread}`);
}
