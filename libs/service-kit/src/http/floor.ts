/** What all requests of a server share: how many there are, how many there may be, and whether it is closing. */
import type { Socket } from 'node:net';
import type { Log } from '../kit.ts';
import type { AccessLog } from './access-log.ts';
import type { CallAbort } from './call-abort.ts';
import type { KeyGuard } from './key-guard.ts';

export interface Floor {
  readonly log: Log;
  /** Undefined: requests are not logged. */
  readonly accessLog: AccessLog | undefined;
  /** Wall-clock milliseconds, for deadlines. */
  readonly now: () => number;
  readonly inFlightMax: number;
  /** Undefined: no keys are set, and whoever reaches the service may use it. */
  readonly keyGuard: KeyGuard | undefined;
  /** Calls whose handler works. */
  inFlight: number;
  /** Answers that are being streamed; bounded by the connections. */
  streams: number;
  /** From now on each connection ends with its answer. */
  isClosing: boolean;
  /** Calls whose handler asked for the signal. */
  readonly abortable: Set<CallAbort>;
  /** Connections that are open. */
  readonly sockets: Set<Socket>;
  /** Makes the next id of a request. */
  readonly nextId: () => string;
}

/** Ids of requests: unique per process by a random prefix, then counted, since a random id costs a microsecond. */
export function idSequence(random: () => number): () => string {
  const prefix = Math.floor(random() * 36 ** 8)
    .toString(36)
    .padStart(8, '0');
  let count = 0;
  return () => `${prefix}-${(++count).toString(36)}`;
}

/** A caller's own id, if it is fit for logs and headers; else a new one. */
export function requestIdOf(given: string | string[] | undefined, nextId: () => string): string {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : nextId();
}
