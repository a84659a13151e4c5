/** The access log: a line for an HTTP request, once its answer is gone. */
import type { IncomingMessage } from 'node:http';
import type { Log } from '../kit.ts';

export const ACCESS_LOGS = ['none', 'errors', 'all'] as const;
export type AccessLogScope = (typeof ACCESS_LOGS)[number];

/** A path may be as long as a request's head; the line of one that nobody would read is not. */
const PATH_CHARACTERS_MAX = 512;
/** From here on an answer tells of a failure of the service. */
const ERROR_STATUS = 500;

/** What became of a request. */
export interface Access {
  /** Undefined: no operation was found for it. */
  operation?: string;
  status: number;
  /** From its head to the end of its answer. Undefined: it was answered at once. */
  durationMs?: number;
  requestId: string;
  traceId?: string | undefined;
  /** The code of the problem that was answered. */
  problem?: string | undefined;
}

export class AccessLog {
  readonly #log: Log;
  readonly #statusMin: number;

  constructor(log: Log, scope: Exclude<AccessLogScope, 'none'>) {
    this.#log = log;
    this.#statusMin = scope === 'all' ? 0 : ERROR_STATUS;
  }

  /**
   * Writes its line: as a warning when the service failed. A query is left out, for it may hold what is nobody's business.
   *
   * @param target - As the request named it: `/v1/kv/orders/7?wait=1s`.
   * Cost: about 1 µs, with its part of the write; a comparison when its status is not logged.
   */
  note(req: IncomingMessage, target: string, access: Access): void {
    const { status, operation, durationMs, requestId, traceId, problem } = access;
    if (status < this.#statusMin) return;
    const fields = {
      operation,
      method: req.method,
      path: pathOf(target),
      status,
      ms: durationMs === undefined ? undefined : Math.round(durationMs * 1_000) / 1_000,
      problem,
      peer: req.socket.remoteAddress,
      request: requestId,
      trace_id: traceId,
    };
    if (status < ERROR_STATUS) this.#log.info('request', fields);
    else this.#log.warn('request', fields);
  }
}

function pathOf(target: string): string {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  return path.length <= PATH_CHARACTERS_MAX ? path : `${path.slice(0, PATH_CHARACTERS_MAX)}…`;
}
