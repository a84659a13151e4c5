/**
 * Job events for everybody: CloudEvents 1.0 on `plinth.queue.v1.events.<queue>.<kind>`, gathered for a moment, as a
 * JSON batch. At most once: while the bus is away, or more comes than is kept, they are dropped and counted.
 */
import type { Bus } from '@plinth/bus';
import type { JobEvent } from '../core/job-event.ts';

export interface EventNewsOptions {
  bus: Pick<Bus, 'publish' | 'notReady'>;
  newId(): string;
  /** Which replica. */
  replica: string;
}

/** Long enough to gather under load, short enough for whoever waits. */
const GATHER_MS = 10;
/** Of one message: far below NATS' megabyte, also with results of the longest kind left out. */
const BATCH_MAX = 100;
/** Kept for the next message; more are dropped. */
const KEPT_MAX = 20_000;
/** Results of the longest kind would fill a message: those are read from the service. */
const RESULT_CHARS_MAX = 8_192;

export const EVENT_SUBJECT = 'plinth.queue.v1.events';
const quoted = JSON.stringify;
const HEADERS = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' };

export class EventNews {
  readonly #options: EventNewsOptions;
  #events: JobEvent[] = [];
  #timer: NodeJS.Timeout | undefined;
  #dropped = 0;
  #published = 0;
  #timeMs = Number.NaN;
  #time = '';

  constructor(options: EventNewsOptions) {
    this.#options = options;
  }

  get dropped(): number {
    return this.#dropped;
  }

  get published(): number {
    return this.#published;
  }

  tell(event: JobEvent): void {
    if (this.#events.length >= KEPT_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#events.push(event);
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS).unref();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const events = this.#events;
    this.#events = [];
    const bySubject = new Map<string, JobEvent[]>();
    for (const event of events) {
      const subject = `${EVENT_SUBJECT}.${event.queue}.${event.kind}`;
      const same = bySubject.get(subject);
      if (same === undefined) bySubject.set(subject, [event]);
      else same.push(event);
    }
    for (const [subject, same] of bySubject)
      for (let from = 0; from < same.length; from += BATCH_MAX)
        this.#publish(subject, same.slice(from, from + BATCH_MAX));
  }

  #publish(subject: string, events: readonly JobEvent[]): void {
    const { bus } = this.#options;
    try {
      if (bus.notReady() !== undefined) throw new Error('the bus is away');
      const head = this.#headOf(events[0]!);
      const texts = events.map((event) => this.#cloudEvent(head, event));
      bus.publish(subject, `[${texts.join(',')}]`, { headers: HEADERS });
      this.#published += events.length;
    } catch {
      this.#dropped += events.length;
    }
  }

  /** What events of one queue and kind have alike, behind their ids. */
  #headOf({ queue, kind }: JobEvent): string {
    return `","source":"/plinth/queue/${queue}","type":"plinth.queue.v1.${kind}","datacontenttype":"application/json","replica":"${this.#options.replica}","subject":`;
  }

  /** Written by hand: there are several for each job, and a result goes in as the text that it is. */
  #cloudEvent(head: string, event: JobEvent): string {
    const subject = quoted(event.id);
    const { queue, state, atMs, name, worker, attempt, error, reason, dueAtMs, result } = event;
    return (
      `{"specversion":"1.0","id":"${this.#options.newId()}${head}${subject},"time":"${this.#timeText(atMs)}"` +
      `,"data":{"queue":"${queue}","id":${subject},"state":"${state}"` +
      (name === undefined ? '' : `,"name":${quoted(name)}`) +
      (worker === undefined ? '' : `,"worker":${quoted(worker)}`) +
      (attempt === undefined ? '' : `,"attempt":${attempt}`) +
      (error === undefined ? '' : `,"error":${quoted(error)}`) +
      (reason === undefined ? '' : `,"reason":${quoted(reason)}`) +
      (dueAtMs === undefined ? '' : `,"dueAtMs":${dueAtMs}`) +
      (result !== undefined && result.length <= RESULT_CHARS_MAX ? `,"result":${result}` : '') +
      '}}'
    );
  }

  /** Many events are of one moment. */
  #timeText(atMs: number): string {
    if (atMs !== this.#timeMs) {
      this.#timeMs = atMs;
      this.#time = new Date(atMs).toISOString();
    }
    return this.#time;
  }
}
