/** What happens to jobs, as it is told inside this process and, by the bus, to everybody. */
import type { JobError, JobState } from './job.ts';

export const JOB_EVENT_KINDS = [
  'enqueued',
  'leased',
  'completed',
  /** An attempt failed or ran out of time, and another follows. */
  'failed',
  'dead',
  'cancelled',
  /** A lease ended without a word. */
  'stalled',
  'released',
  /** Its time has come: from scheduled or retrying to waiting. */
  'promoted',
  /** It is completed, but its result could not be written where it was to go. */
  'result-failed',
] as const;
export type JobEventKind = (typeof JOB_EVENT_KINDS)[number];

/** What a job asked for at its end. */
export interface Deliveries {
  readonly callbackUrl: string | undefined;
  readonly failureCallbackUrl: string | undefined;
  readonly resultTo: string | undefined;
  /** W3C, of whoever enqueued it: what is done at its end belongs to that trace. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

export interface JobEvent {
  readonly kind: JobEventKind;
  readonly queue: string;
  readonly id: string;
  /** Where the job is now. */
  readonly state: JobState;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly name?: string | undefined;
  readonly worker?: string | undefined;
  readonly attempt?: number | undefined;
  readonly error?: JobError | undefined;
  /** JSON text, of `completed`. */
  readonly result?: string | undefined;
  readonly reason?: string | undefined;
  /** Of `failed`: when it is tried again. */
  readonly dueAtMs?: number | undefined;
  /** Of an end, when the job asked for something at its end. */
  readonly deliveries?: Deliveries | undefined;
}

const END_KINDS: ReadonlySet<string> = new Set(['completed', 'dead', 'cancelled'] satisfies JobEventKind[]);

/** The kinds are named as the states that jobs end in. */
export const isEnd = (kindOrState: string): boolean => END_KINDS.has(kindOrState);

type Listener = (event: JobEvent) => void;

/** Tells events to whoever listens; a listener that throws harms no other. */
export class EventHub {
  readonly #listeners = new Set<Listener>();
  readonly #deliverers = new Set<Listener>();
  readonly #report: (error: unknown) => void;

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  /** @returns Ends the listening. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** To ends with deliveries only: most jobs ask for none, and their events need not be made for that. */
  listenToDeliveries(deliver: Listener): () => void {
    this.#deliverers.add(deliver);
    return () => void this.#deliverers.delete(deliver);
  }

  /** Nobody listens to all events: those without deliveries need not even be made. */
  get isIdle(): boolean {
    return this.#listeners.size === 0;
  }

  tell(event: JobEvent): void {
    this.#tellTo(this.#listeners, event);
    if (event.deliveries !== undefined) this.#tellTo(this.#deliverers, event);
  }

  #tellTo(listeners: Iterable<Listener>, event: JobEvent): void {
    for (const listener of listeners)
      try {
        listener(event);
      } catch (error) {
        this.#report(error);
      }
  }
}
