/**
 * bull-board, for the queues of the lane `standard`, below `/board`. It knows BullMQ's keys and nothing of ours, so it
 * shows these queues as BullMQ has them. It is loaded when somebody opens it: nobody else should wait for it.
 */
import type { Mount, Visit } from '@plinth/service-kit';
import type { Queue } from 'bullmq';
import { isOwnQueue } from '../api/call.ts';
import type { Queues } from '../core/queues.ts';
import type { ShownBoard } from './bull-board.ts';

export interface BoardRooms {
  queues: Pick<Queues, 'list'>;
  /** The lane's own: it has its connection, and no other is made. */
  nativeQueue(queue: string): Queue;
}

const PATH = '/board';
/** It asks for the figures of all its queues every few seconds; the first by name are shown. */
const QUEUES_MAX = 500;

/**
 * Nothing from elsewhere, in nobody's frame. Its styles are set inline by its scripts, so those have to be allowed; a
 * style runs nothing.
 */
const SECURITY = {
  'content-security-policy':
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};

export function boardMount(rooms: BoardRooms): Mount {
  let opening: Promise<ShownBoard> | undefined;
  async function open(): Promise<ShownBoard> {
    opening ??= import('./bull-board.ts').then(({ openBullBoard }) => openBullBoard(PATH, rooms.nativeQueue));
    return opening;
  }
  async function answer({ req, res, next, mayWrite }: Visit): Promise<void> {
    const board = await open();
    // Whatever it asks, it asks about the queues that there are now.
    board.show(await standardQueues(rooms.queues));
    for (const [name, value] of Object.entries(SECURITY)) res.setHeader(name, value);
    board.answer(mayWrite ? 'writable' : 'readOnly', req, res, next);
  }
  return {
    name: 'board',
    path: PATH,
    signIn: '/#/board/key',
    handle: (visit) => void answer(visit).catch(visit.next),
  };
}

async function standardQueues(queues: BoardRooms['queues']): Promise<string[]> {
  const all = await queues.list();
  // What lies in the service's own queues is signed and sent in its name: nobody puts anything there.
  const names = all.filter(({ lane, queue }) => lane === 'standard' && !isOwnQueue(queue)).map(({ queue }) => queue);
  return names.sort().slice(0, QUEUES_MAX);
}
