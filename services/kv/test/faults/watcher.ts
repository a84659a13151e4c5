/** A reader of changes over SSE that resumes after every crash with the last id it got, as a browser does. */
import type { IncomingMessage } from 'node:http';
import type { ChangeEvent } from '@plinth/contracts/kv';
import { type HttpClient, Unanswered } from './http-client.ts';
import type { Acknowledged } from './workload.ts';

export class Watcher {
  /** Every change that was told, whole revisions only. */
  readonly events: ChangeEvent[] = [];
  readonly #path: string;
  #lastId = '0';

  constructor(bucket: string) {
    this.#path = `/v1/watch/${bucket}?since=0`;
  }

  get reached(): number {
    return Number(this.#lastId);
  }

  /** Resolves when the stream has ended or broken. */
  async follow(http: HttpClient): Promise<void> {
    const headers = { accept: 'text/event-stream', 'last-event-id': this.#lastId };
    try {
      const reply = await http.open('GET', this.#path, { headers });
      if (reply.statusCode !== 200) throw new Error(`watching from ${this.#lastId} answered ${reply.statusCode}`);
      await this.#read(reply);
    } catch (error) {
      if ((error as Error).message.startsWith('watching')) throw error;
      if (!(error instanceof Unanswered) && (error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }

  async #read(reply: IncomingMessage): Promise<void> {
    let text = '';
    /** Of a revision whose last event has not come. */
    let part: ChangeEvent[] = [];
    for await (const chunk of reply.setEncoding('utf8')) {
      const blocks = (text + chunk).split('\n\n');
      text = blocks.pop()!;
      for (const block of blocks) part = this.#take(block, part);
    }
  }

  #take(block: string, part: ChangeEvent[]): ChangeEvent[] {
    const id = /^id: (.*)$/m.exec(block)?.[1];
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (data === undefined) return part;
    const event = JSON.parse(data) as ChangeEvent;
    if (event.type === 'put' || event.type === 'delete' || event.type === 'expire') part.push(event);
    if (id === undefined) return part;
    this.events.push(...part);
    this.#lastId = id;
    return [];
  }

  /**
   * @throws Error unless every revision came, in order and once, each acknowledged write among them.
   *
   * @param isGapless - False where revisions are skipped on purpose, or other buckets take some.
   */
  assertWhole(acknowledged: readonly Acknowledged[], { isGapless = true } = {}): void {
    this.#assertOrder(isGapless);
    const told = new Map(this.events.map((event) => [`${event.revision} ${event.key}`, event]));
    if (told.size !== this.events.length) throw new Error('an event was told twice');
    for (const { revision, key, value } of acknowledged) {
      const event = told.get(`${revision} ${key}`);
      const isIt = value === undefined ? event?.type === 'delete' : event?.type === 'put' && event.value === value;
      if (!isIt) throw new Error(`revision ${revision} of ${key}: ${value} was acknowledged, ${event?.value} was told`);
    }
  }

  #assertOrder(isGapless: boolean): void {
    let last = 0;
    for (const { revision } of this.events) {
      if (revision < last) throw new Error(`revision ${revision} was told after ${last}`);
      if (isGapless && revision > last + 1) throw new Error(`revision ${revision} was told after ${last}: a gap`);
      last = revision;
    }
  }
}
