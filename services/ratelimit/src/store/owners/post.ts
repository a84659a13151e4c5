/**
 * Messages from member to member, over bare NATS: each has an address, `…owner.<id>`, with a box for calls, one for
 * everything about slots, and one for replies to itself. No queue groups: a message is for one member.
 */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';

/** Where members are reached. The user of the service must be allowed to publish below it. */
export const ADDRESSES = 'plinth.ratelimit.v1.owner';

/** What became of a message: the reply, nobody in time, or nobody at all: then nobody has read it. */
export type Delivery = Uint8Array | 'timeout' | 'nobody';

/** Replies waited for; a lane has some 64 calls under way at the most, and there are 64 members. */
const WAITING_MAX = 8_192;

interface Waiting {
  settle(delivery: Delivery): void;
  timer: NodeJS.Timeout;
}

export interface PostBoxes {
  /** A call; what is returned is the reply. */
  call(text: string): string;
  /** Something about slots. */
  slots(text: string): string | Promise<string>;
}

export class Post {
  readonly #nats: NatsConnection;
  readonly #address: string;
  readonly #waiting = new Map<string, Waiting>();
  readonly #subscriptions: Subscription[] = [];
  #latest = 0;

  constructor(nats: NatsConnection, id: string) {
    this.#nats = nats;
    this.#address = `${ADDRESSES}.${id}`;
  }

  /** From now on this member is reached. */
  open(boxes: PostBoxes): void {
    this.#listen('reply.*', (message) => this.#deliver(message));
    this.#listen('call', (message) => this.#reply(message, boxes.call(textOf(message.data))));
    this.#listen('slots', (message) => {
      const text = textOf(message.data);
      // What cannot be read has no answer: whoever sent it asks again, or is told by its own log.
      void (async () => boxes.slots(text))()
        .then((reply) => this.#reply(message, reply))
        .catch(() => {});
    });
  }

  /**
   * Sends to a member's box; `settle` is called once, never at once.
   *
   * nats.js keeps what is published while the server is away: whoever asks looks first whether it is there.
   */
  send(
    to: { id: string; box: 'call' | 'slots' },
    text: string,
    timeoutMs: number,
    settle: (delivery: Delivery) => void,
  ) {
    if (this.#waiting.size >= WAITING_MAX || this.#nats.isClosed()) return void queueMicrotask(() => settle('nobody'));
    const token = (++this.#latest).toString(36);
    const timer = setTimeout(() => this.#settle(token, 'timeout'), timeoutMs);
    this.#waiting.set(token, { settle, timer });
    try {
      this.#nats.publish(`${ADDRESSES}.${to.id}.${to.box}`, text, { reply: `${this.#address}.reply.${token}` });
    } catch {
      // It is closing, or the message is too large: it was not sent.
      queueMicrotask(() => this.#settle(token, 'nobody'));
    }
  }

  /** The same as a promise. */
  ask(to: { id: string; box: 'call' | 'slots' }, text: string, timeoutMs: number): Promise<Delivery> {
    const { promise, resolve } = Promise.withResolvers<Delivery>();
    this.send(to, text, timeoutMs, resolve);
    return promise;
  }

  /** Not reached any more; those who wait for a reply get none. */
  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    for (const token of [...this.#waiting.keys()]) this.#settle(token, 'timeout');
  }

  #listen(box: string, receive: (message: Msg) => void): void {
    const callback = (error: Error | null, message: Msg) => {
      if (error === null) receive(message);
    };
    this.#subscriptions.push(this.#nats.subscribe(`${this.#address}.${box}`, { callback }));
  }

  #reply(message: Msg, text: string): void {
    if (!this.#nats.isClosed()) message.respond(text);
  }

  #deliver(message: Msg): void {
    const token = message.subject.slice(message.subject.lastIndexOf('.') + 1);
    const hasNoResponders = message.data.byteLength === 0 && message.headers?.code === 503;
    this.#settle(token, hasNoResponders ? 'nobody' : message.data);
  }

  #settle(token: string, delivery: Delivery): void {
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    clearTimeout(waiting.timer);
    waiting.settle(delivery);
  }
}

/** As text, at once: the bytes are the socket's and are overwritten. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
