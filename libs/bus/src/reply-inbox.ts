/**
 * One subscription for the replies to all requests. nats.js has such a one; this knows abort signals, bounds how many
 * wait, and does without the races of promises that make up a good part of a request's cost there.
 */
import { createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { grouped, Problem } from '@plinth/problem';

/** More waiting callers than any service here answers in its deadline; each holds about 1 KiB. */
const WAITING_MAX = 16_384;

/** What became of a request: the reply, or why there is none. */
export type Outcome = Msg | 'timeout' | 'no responders';

interface Waiter {
  settle(outcome: Outcome): void;
  fail(error: unknown): void;
}

export class ReplyInbox {
  readonly #prefix: string;
  readonly #waiting = new Map<string, Waiter>();
  #latest = 0;

  /** @param prefix - What the subjects of replies begin with. */
  constructor(connection: NatsConnection, prefix: string) {
    this.#prefix = `${createInbox(prefix)}.`;
    connection.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (error === null) this.#deliver(message);
      },
    });
  }

  /**
   * Sends by `send(reply subject)` and waits for the reply.
   *
   * @throws Problem `overloaded` when too many wait, what `send` throws, or the signal's reason.
   */
  ask(send: (replyTo: string) => void, { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }) {
    signal?.throwIfAborted();
    if (this.#waiting.size >= WAITING_MAX) {
      throw new Problem('overloaded', `${grouped(WAITING_MAX)} requests wait for replies already`);
    }
    const token = (++this.#latest).toString(36);
    send(this.#prefix + token);
    return new Promise<Outcome>((resolve, reject) => {
      const stopWaiting = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#waiting.delete(token);
      };
      const settle = (outcome: Outcome) => {
        stopWaiting();
        resolve(outcome);
      };
      const fail = (error: unknown) => {
        stopWaiting();
        reject(error);
      };
      const abort = () => fail(signal!.reason);
      const timer = setTimeout(settle, timeoutMs, 'timeout');
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.set(token, { settle, fail });
    });
  }

  /** Nobody will answer any more: what was asked may have happened. */
  close(): void {
    const problem = new Problem('outcome_unknown', 'the bus was closed before the answer came');
    for (const waiter of [...this.#waiting.values()]) waiter.fail(problem);
  }

  #deliver(message: Msg): void {
    const waiter = this.#waiting.get(message.subject.slice(this.#prefix.length));
    const hasNoResponders = message.data.byteLength === 0 && message.headers?.code === 503;
    waiter?.settle(hasNoResponders ? 'no responders' : message);
  }
}
