/** Streams an answer piece by piece, no faster than its reader takes it. */
import type { ServerResponse } from 'node:http';

type Pieces = AsyncIterable<Uint8Array | string>;

/**
 * Sends the pieces and ends the answer. Resolves also when the reader goes away; then the iterator's `return` is
 * called, so that a generator's `finally` runs. A generator that waits for something is not woken by that: let it
 * listen to `call.signal`.
 *
 * @param stallMs - The connection is cut when its reader takes nothing for so long. Omitted: never.
 * @throws What the iterator throws. The answer is then cut off, so that its reader can tell it from a whole one.
 */
export async function streamBody(res: ServerResponse, body: Pieces, stallMs?: number): Promise<void> {
  const pieces = body[Symbol.asyncIterator]();
  const leave = () => void pieces.return?.()?.catch(() => {});
  res.once('close', leave);
  try {
    for (let next = await pieces.next(); !next.done && !res.closed; next = await pieces.next()) {
      if (!res.write(next.value)) await drained(res, stallMs);
    }
    res.off('close', leave);
    res.end();
  } catch (error) {
    const isWanted = !res.closed;
    res.off('close', leave).destroy();
    if (isWanted) throw error;
  }
}

/** Ends a stream that nobody wants, as of a HEAD request. */
export function dropStream(body: Pieces): void {
  void body[Symbol.asyncIterator]()
    .return?.()
    ?.catch(() => {});
}

/** Resolves when there is room again, or nobody to write for. */
function drained(res: ServerResponse, stallMs: number | undefined): Promise<void> {
  if (res.closed) return Promise.resolve();
  return new Promise((resolve) => {
    const stall = stallMs === undefined ? undefined : setTimeout(() => res.destroy(), stallMs);
    const go = () => {
      clearTimeout(stall);
      res.off('drain', go).off('close', go);
      resolve();
    };
    res.on('drain', go).on('close', go);
  });
}
