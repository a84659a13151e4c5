/** Answers requests that are no HTTP: Node's parser gave up, and there is no response object to write to. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PROBLEM_MEDIA_TYPE, Problem } from '@plinth/problem';
import { STATUS_CODES } from './node-http.ts';

/** How long a caller may take to read the answer before the socket is closed for good. */
const LINGER_MS = 1_000;

interface Fault {
  status: number;
  problem: Problem;
}

/** Writes one answer by hand and closes the connection. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex, id: string): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) return void socket.destroy();
  const { status, problem } = faultOf(error);
  const body = JSON.stringify({ ...problem.toBody(id), status });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `Request-Id: ${id}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // A reset because of unread bytes could overtake the answer: read them for a moment.
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/** A fault behind an answer that has begun: more bytes would be taken for a part of it. */
function isAnswering(socket: Duplex): boolean {
  return (socket as Socket & { _httpMessage?: ServerResponse })._httpMessage?.headersSent === true;
}

function faultOf({ code, message }: NodeJS.ErrnoException): Fault {
  const invalid = (status: number, detail: string) => ({ status, problem: new Problem('invalid_request', detail) });
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return invalid(431, 'the headers are longer than 16 KiB');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return invalid(408, 'the request did not arrive in time');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, problem: new Problem('body_too_large', 'the chunk extensions are longer than 16 KiB') };
    default:
      return invalid(400, `the request is no HTTP: ${message.replace(/^Parse Error: /, '')}`);
  }
}
