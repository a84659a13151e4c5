/** Events: published to whoever listens, delivered at most once, in order per publisher. */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import { context as otelContext } from '@opentelemetry/api';
import {
  consumerSpan,
  endSpan,
  forwarded,
  injectHeaders,
  messagingAttributes,
  producerSpan,
  type Traced,
} from '@plinth/telemetry';
import type { BusEvent, BusLog, BusSubscription, PublishOptions } from './bus.ts';
import { drained } from './drained.ts';
import type { Link } from './link.ts';
import { assertFits } from './request.ts';
import { headersOf, ownedBytes, wireHeaders } from './wire-headers.ts';

/** Events that wait for a slow receiver; further ones are dropped, as "at most once" allows. */
const WAITING_MAX = 10_000;

type Receive = (event: BusEvent) => void | Promise<void>;

export class EventChannel {
  readonly #connection: NatsConnection;
  readonly #link: Link;
  readonly #log: BusLog | undefined;
  readonly #open = new Set<EventQueue>();

  constructor(connection: NatsConnection, link: Link, log: BusLog | undefined) {
    this.#connection = connection;
    this.#link = link;
    this.#log = log;
  }

  publish(
    subject: string,
    payload: Uint8Array | string,
    { headers = {}, trace = otelContext.active() }: PublishOptions = {},
  ): void {
    this.#link.assertReady();
    const { name, attributes } = messagingAttributes({
      ...PUBLISH,
      destination: subject,
      template: templateOf(subject),
    });
    const traced = producerSpan(trace, name, attributes);
    const carried = { ...headers };
    injectHeaders(traced?.context ?? trace, carried);
    const encoded = wireHeaders(carried);
    // nats.js holds on to what it is given until the end of this turn, and sends what is in it then.
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : new Uint8Array(payload);
    assertFits(this.#connection, encoded, bytes);
    this.#connection.publish(subject, bytes, { headers: encoded });
    endSpan(traced?.span);
  }

  subscribe(subject: string, receive: Receive): BusSubscription {
    const queue = new EventQueue(this.#connection, { subject, receive, log: this.#log });
    this.#open.add(queue);
    return {
      stop: () => {
        this.#open.delete(queue);
        return queue.stop();
      },
    };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#open].map((queue) => queue.stop()));
  }
}

const PUBLISH = { system: 'nats', operation: 'publish', type: 'send' } as const;
const PROCESS = { system: 'nats', operation: 'process', type: 'process' } as const;

/** `plinth.kv.v1.events.changes.demo` → `plinth.kv.v1.events.changes.>`: what comes later names things of users. */
function templateOf(subject: string): string | undefined {
  const tokens = subject.split('.', 6);
  return tokens.length < 6 ? undefined : `${tokens.slice(0, 5).join('.')}.>`;
}

/** The events of one subscription, one at a time. */
class EventQueue {
  readonly #plan: { subject: string; receive: Receive; log: BusLog | undefined };
  readonly #subscription: Subscription;
  readonly #waiting: Msg[] = [];
  #running: Promise<void> | undefined;
  #dropped = 0;

  constructor(connection: NatsConnection, plan: { subject: string; receive: Receive; log: BusLog | undefined }) {
    this.#plan = plan;
    this.#subscription = connection.subscribe(plan.subject, {
      callback: (error, message) => {
        if (error === null) this.#push(message);
        else plan.log?.error('NATS refuses a subscription', { subject: plan.subject, error: error.message });
      },
    });
  }

  async stop(): Promise<void> {
    await drained([this.#subscription]);
    await this.#running;
  }

  #push(message: Msg): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(message);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) await this.#deliver(this.#waiting.shift()!);
    this.#running = undefined;
    if (this.#dropped > 0) this.#admitDropped();
  }

  async #deliver(message: Msg): Promise<void> {
    const headers = headersOf(message);
    const traced = this.#span(message.subject, headers);
    const { subject, data } = message;
    const event = { subject, headers, payload: ownedBytes(data), trace: traced?.context ?? forwarded(headers) };
    try {
      await this.#plan.receive(event);
      endSpan(traced?.span);
    } catch (error) {
      this.#plan.log?.error('an event could not be processed', { subject, error: (error as Error)?.stack });
      endSpan(traced?.span, error);
    }
  }

  /** Only events that come with a trace are traced: one that nobody asked for tells no story. */
  #span(destination: string, headers: Record<string, string>): Traced | undefined {
    if (headers.traceparent === undefined) return undefined;
    const { name, attributes } = messagingAttributes({ ...PROCESS, destination, template: templateOf(destination) });
    return consumerSpan(headers, name, attributes);
  }

  #admitDropped(): void {
    const { subject, log } = this.#plan;
    log?.warn('a slow receiver missed events', { subject, dropped: this.#dropped, waitingMax: WAITING_MAX });
    this.#dropped = 0;
  }
}
