/** Bodies, whole or as a stream, never more of one than is allowed. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { grouped, Problem, type ProblemCode } from '@plinth/problem';

const EMPTY: Buffer = Buffer.alloc(0);

export interface BodyLimit {
  bytesMax: number;
  /** What a longer body is answered with: `value_too_large`. */
  problem: ProblemCode;
}

/** Whether bytes follow the head. A request without `Content-Length` and chunks has none (RFC 9112 §6.3). */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return (length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined;
}

/**
 * Refuses what is not worth reading, before a byte of it is.
 *
 * @throws Problem of the limit when the declared length is above it; `unsupported_media_type` for a compressed body.
 */
export function checkBodyHead({ headers }: IncomingMessage, limit: BodyLimit): void {
  const length = headers['content-length'];
  if (length !== undefined && Number(length) > limit.bytesMax) throw tooLarge(limit, Number(length));
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new Problem('unsupported_media_type', `the body is encoded with ${encoding}; understood is identity`);
  }
}

/**
 * Reads a body whole. Exactly one of the callbacks is called, once.
 *
 * @param received - Gets the bytes, which it owns: `node:http` copies each chunk out of its own buffer.
 * @param failed - Gets the problem when the body grew above the limit; undefined when the caller went away.
 * Cost: a body that comes in one chunk is handed on as it is.
 */
export function readBody(
  req: IncomingMessage,
  limit: BodyLimit,
  received: (body: Buffer) => void,
  failed: (problem: Problem | undefined) => void,
): void {
  let first = EMPTY;
  let all: Buffer[] | undefined;
  let bytes = 0;
  let isOver = false;
  const onData = (chunk: Buffer) => {
    if (isOver) return;
    bytes += chunk.length;
    if (bytes > limit.bytesMax) end(() => failed(tooLarge(limit)));
    else if (first === EMPTY) first = chunk;
    else if (all === undefined) all = [first, chunk];
    else all.push(chunk);
  };
  const end = (tell: () => void) => {
    if (isOver) return;
    isOver = true;
    tell();
  };
  req.on('data', onData);
  req.on('end', () => end(() => received(all === undefined ? first : Buffer.concat(all, bytes))));
  // Comes after `end` too, and then says nothing.
  req.on('close', () => end(() => failed(undefined)));
}

/**
 * The chunks of a body, with back-pressure. Ending the loop early does not close the connection, as Node's own
 * iterator would: the answer still has to go over it.
 */
export function bodyChunks(req: IncomingMessage): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => req.iterator({ destroyOnReturn: false }) };
}

/** Tells a caller that asked (`Expect: 100-continue`) that its body is welcome. */
export function welcomeBody(req: IncomingMessage, res: ServerResponse): void {
  if (req.headers.expect !== undefined) res.writeContinue();
}

function tooLarge({ bytesMax, problem }: BodyLimit, bytes?: number): Problem {
  const noun = problem === 'value_too_large' ? 'value' : 'body';
  const size = bytes === undefined ? 'longer than allowed' : `${grouped(bytes)} bytes`;
  const detail = `${noun} is ${size}; the most is ${grouped(bytesMax)}`;
  return new Problem(problem, detail, { members: { limitBytes: bytesMax } });
}
