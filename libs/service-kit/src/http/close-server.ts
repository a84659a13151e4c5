/**
 * Closing the HTTP door without losing a request.
 *
 * `close()` of `node:http` is not used, for it destroys each connection whose answer was handed over by `end()`, also
 * when a part of that answer still waits for a slow reader (Node 24.18, `closeIdleConnections`): a large value would be
 * cut off. Neither does it end connections on which nothing has come yet. So connections are looked after here.
 */
import type { Server } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import type { Log } from '../kit.ts';
import type { Floor } from './floor.ts';

/** How often connections that are idle by now are looked for. */
const SWEEP_MS = 25;
/** A connection may have a request on its way, as long as its client does not know; by then it would have come. */
const UNUSED_MS = 100;

export interface ClosingOptions {
  /** How long handlers may work on, before their signals are aborted; after an eighth more, connections are cut. */
  patienceMs: number;
  log: Log;
}

/**
 * Stops accepting; each connection ends with the answer it waits for, idle ones after a moment, those of streams when
 * the stream has said its last word. Resolves when all are gone.
 */
export async function closeServer(server: Server, floor: Floor, { patienceMs, log }: ClosingOptions): Promise<void> {
  const startedMs = performance.now();
  for (const call of floor.abortable) if (call.isStream) call.stop();
  const isClosed = new Promise((resolve) => NetServer.prototype.close.call(server, resolve));
  const sweep = setInterval(() => closeIdle(floor, performance.now() - startedMs), SWEEP_MS);
  const abort = setTimeout(() => abortAll(floor), patienceMs);
  const cut = setTimeout(() => cutAll(floor, log), patienceMs * 1.125);
  await isClosed;
  clearInterval(sweep);
  clearTimeout(abort);
  clearTimeout(cut);
  // There is nothing left to close; it ends the interval in which Node looks for connections that are too slow.
  server.close();
}

/** Ends connections without a request under way. A request of which only a part has come has reached no handler. */
function closeIdle(floor: Floor, elapsedMs: number): void {
  if (elapsedMs < UNUSED_MS) return;
  for (const socket of floor.sockets) if (!isAnswering(socket)) socket.destroy();
}

/** From the head of a request until its answer has left the process. Node keeps the response there (`_http_server.js`). */
function isAnswering(socket: Socket & { _httpMessage?: unknown }): boolean {
  return socket._httpMessage !== undefined && socket._httpMessage !== null;
}

function abortAll({ abortable }: Floor): void {
  for (const call of abortable) call.stop();
}

/** The rest of the stop matters more: a store that is closed well starts faster than one that was killed. */
function cutAll({ sockets }: Floor, log: Log): void {
  log.warn('cut connections whose requests did not end in time', { connections: sockets.size });
  for (const socket of sockets) socket.destroy();
}
