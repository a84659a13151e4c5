/** What replicas of the queue tell each other: that there may be jobs, that jobs ended, who works. */
import type { Bus, BusEvent } from '@plinth/bus';
import type { Neighbours } from '../core/queues.ts';
import type { WorkerNews, Workers } from '../core/workers.ts';
import { EVENT_SUBJECT } from './event-news.ts';

export interface ReplicaNewsOptions {
  bus: Pick<Bus, 'publish' | 'subscribe' | 'notReady'>;
  /** Whose news are not heard again. */
  replica: string;
}

const WAKE_SUBJECT = 'plinth.queue.v1.wake';
const WORKER_SUBJECT = 'plinth.queue.v1.workers';
/** Of one queue a replica wakes the others so often at the most. */
const WAKE_EVERY_MS = 5;
const END_KINDS = ['completed', 'dead', 'cancelled'];

const text = new TextDecoder();

export class ReplicaNews implements Neighbours {
  readonly #bus: ReplicaNewsOptions['bus'];
  readonly #replica: string;
  readonly #headers: Record<string, string>;
  /** Queues that were told of lately; true: there is more to tell. */
  readonly #told = new Map<string, boolean>();
  readonly #subscriptions: { stop(): Promise<void> }[] = [];

  constructor({ bus, replica }: ReplicaNewsOptions) {
    this.#bus = bus;
    this.#replica = replica;
    this.#headers = { replica };
  }

  /** Hears the other replicas from now on. */
  listen(heard: { woken(queue: string): void; workers: Workers }): void {
    this.#hear(`${WAKE_SUBJECT}.*`, ({ subject }) => heard.woken(subject.slice(WAKE_SUBJECT.length + 1)));
    this.#hear(WORKER_SUBJECT, ({ payload }) => heard.workers.hear(JSON.parse(text.decode(payload)) as WorkerNews));
  }

  /** The first at once, for whoever waits; those that follow closely are gathered. */
  wake(queue: string): void {
    if (this.#told.has(queue)) {
      this.#told.set(queue, true);
      return;
    }
    this.#publish(`${WAKE_SUBJECT}.${queue}`, '');
    this.#told.set(queue, false);
    setTimeout(() => {
      const hasMore = this.#told.get(queue) === true;
      this.#told.delete(queue);
      if (hasMore) this.wake(queue);
    }, WAKE_EVERY_MS).unref();
  }

  share(news: WorkerNews): void {
    this.#publish(WORKER_SUBJECT, JSON.stringify(news));
  }

  watchEnds(queue: string, ended: (id: string) => void): () => void {
    let isOver = false;
    const subscriptions = END_KINDS.map((kind) =>
      this.#bus.subscribe(`${EVENT_SUBJECT}.${queue}.${kind}`, ({ payload }) => {
        // The server may still send what it had on the way.
        if (isOver) return;
        const events = JSON.parse(text.decode(payload)) as { subject: string; replica: string }[];
        for (const { subject, replica } of events) if (replica !== this.#replica) ended(subject);
      }),
    );
    return () => {
      isOver = true;
      for (const subscription of subscriptions) void subscription.stop();
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription.stop()));
  }

  #hear(subject: string, receive: (event: BusEvent) => void): void {
    const subscription = this.#bus.subscribe(subject, (event) => {
      if (event.headers.replica !== this.#replica) receive(event);
    });
    this.#subscriptions.push(subscription);
  }

  /** Whoever misses it looks by himself a second later. */
  #publish(subject: string, payload: string): void {
    if (this.#bus.notReady() !== undefined) return;
    try {
      this.#bus.publish(subject, payload, { headers: this.#headers });
    } catch {
      // The bus went away between the two lines.
    }
  }
}
