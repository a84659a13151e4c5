/** The event stream: what becomes of jobs, as server-sent events, as this replica sees it happen. */
import { type Call, queue as contract, type Served, serve } from '@plinth/contracts';
import { QUEUE, QUEUE_RULE } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { JobEvent } from '../core/job-event.ts';
import type { Queues } from '../core/queues.ts';

export interface EventRooms {
  queues: Pick<Queues, 'onEvent'>;
}

/** Readers at once; each is a page or a tail somewhere. */
const READERS_MAX = 200;
/** Events that wait for one slow reader, some 300 bytes each; then it misses some, and is told so. */
const WAITING_MAX = 5_000;
/** Proxies cut what is silent for longer. */
const SILENCE_MS = 15_000;
/** A reader that takes nothing for so long is gone. */
const STALL_MS = 30_000;

/** All readers of this process. */
export class EventStreams {
  readonly #queues: EventRooms['queues'];
  readonly #readers = new Set<EventReader>();

  constructor({ queues }: EventRooms) {
    this.#queues = queues;
  }

  operations(): Served[] {
    return [
      serve(contract.watchEvents, (call) => {
        const { queue } = call.query;
        if (queue !== undefined && !QUEUE.test(queue)) {
          const issues = [{ path: '/query/queue', message: `it takes ${QUEUE_RULE}` }];
          throw new Problem('invalid_request', `queue: it takes ${QUEUE_RULE}`, { issues });
        }
        if (this.#readers.size >= READERS_MAX) {
          const detail = `${READERS_MAX} event streams are open; that is the most`;
          throw new Problem('overloaded', detail, { retryAfterMs: 5_000 });
        }
        const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' };
        return { status: 200, headers, body: this.#read(queue, call), stallMs: STALL_MS };
      }),
    ];
  }

  /** The service stops: readers are told to come again. */
  end(): void {
    for (const reader of this.#readers) reader.end();
  }

  async *#read(queue: string | undefined, { signal }: Pick<Call, 'signal'>): AsyncGenerator<string> {
    const reader = new EventReader(queue);
    this.#readers.add(reader);
    const deafen = this.#queues.onEvent((event) => reader.hear(event));
    const leave = () => reader.end();
    signal.addEventListener('abort', leave, { once: true });
    try {
      yield 'retry: 2000\n\n';
      while (!signal.aborted) {
        const { text, isLast } = await reader.take();
        yield text;
        if (isLast) return;
      }
    } finally {
      deafen();
      signal.removeEventListener('abort', leave);
      this.#readers.delete(reader);
    }
  }
}

class EventReader {
  readonly #queue: string | undefined;
  #waiting: string[] = [];
  #missed = 0;
  #isEnded = false;
  #wake = () => {};

  constructor(queue: string | undefined) {
    this.#queue = queue;
  }

  hear(event: JobEvent): void {
    if (this.#queue !== undefined && event.queue !== this.#queue) return;
    if (this.#waiting.length >= WAITING_MAX) this.#missed += 1;
    else this.#waiting.push(eventText(event.kind, dataOf(event)));
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  /** All that waits; a comment when nothing has come for a while. */
  async take(): Promise<{ text: string; isLast: boolean }> {
    if (this.#waiting.length === 0 && !this.#isEnded) await this.#something();
    const gap = this.#missed === 0 ? '' : eventText('gap', { missed: this.#missed });
    const text = this.#waiting.join('') + gap;
    this.#waiting = [];
    this.#missed = 0;
    if (this.#isEnded) return { text: text + eventText('end', {}), isLast: true };
    return { text: text === '' ? ':\n\n' : text, isLast: false };
  }

  #something(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, SILENCE_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Results and stacks may be long; whoever wants them asks for the job. */
function dataOf({ kind: _, result: _result, deliveries: _deliveries, error, ...event }: JobEvent): object {
  return error === undefined ? event : { ...event, error: { type: error.type, message: error.message } };
}

/** JSON has no line breaks of its own, so one line is enough. */
const eventText = (type: string, data: object): string => `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
