/** Reads a watch as a client would: SSE events, or lines of NDJSON, at a pace the test chooses. */
import { eventually } from '@plinth/testkit';

export interface Told {
  /** SSE only. */
  event?: string;
  /** SSE only: what one resumes from. */
  id?: string;
  // biome-ignore lint/suspicious/noExplicitAny: events have every shape, and each test says which it expects.
  data: any;
}

export class EventReader {
  readonly told: Told[] = [];
  readonly status: number;
  readonly headers: Headers;
  /** True when the server has ended the stream in order. */
  hasEnded = false;
  /** True when the connection broke. */
  isBroken = false;
  readonly #abort: AbortController;
  #rest = '';

  private constructor(response: Response, abort: AbortController) {
    this.status = response.status;
    this.headers = response.headers;
    this.#abort = abort;
    void this.#read(response);
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
    const abort = new AbortController();
    return new EventReader(await fetch(url, { headers, signal: abort.signal }), abort);
  }

  async #read(response: Response): Promise<void> {
    const isSse = response.headers.get('content-type') === 'text/event-stream';
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body!) {
        const pieces = (this.#rest + decoder.decode(chunk, { stream: true })).split(isSse ? '\n\n' : '\n');
        this.#rest = pieces.pop()!;
        for (const piece of pieces) this.#take(isSse ? sseEvent(piece) : { data: JSON.parse(piece) });
      }
      this.hasEnded = true;
    } catch {
      this.isBroken = true;
    }
  }

  #take(told: Told | undefined): void {
    if (told !== undefined) this.told.push(told);
  }

  /** Changes, without notices. */
  get changes(): Told['data'][] {
    return this.told.map(({ data }) => data).filter(({ type }) => ['put', 'delete', 'expire'].includes(type));
  }

  get types(): string[] {
    return this.told.map(({ data }) => data.type);
  }

  get lastId(): string {
    return this.told.findLast(({ id }) => id !== undefined)!.id!;
  }

  /** Waits for an event of a type. @returns It. */
  async until(type: string, timeoutMs = 5_000): Promise<Told['data']> {
    return eventually(() => this.told.find(({ data }) => data.type === type)?.data ?? false, { timeoutMs });
  }

  async untilChanges(count: number, timeoutMs = 5_000): Promise<Told['data'][]> {
    await eventually(() => this.changes.length >= count, { timeoutMs }).catch((error) => {
      throw new Error(`${this.changes.length} changes of ${count}`, { cause: error });
    });
    return this.changes;
  }

  untilOver(timeoutMs = 5_000): Promise<true> {
    return eventually(() => this.hasEnded || this.isBroken, { timeoutMs });
  }

  close(): void {
    this.#abort.abort();
  }
}

function sseEvent(text: string): Told | undefined {
  if (text.startsWith(':')) return undefined;
  const fields = new Map(
    text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  );
  const [event, id] = [fields.get('event'), fields.get('id')];
  return { ...(event && { event }), ...(id && { id }), data: JSON.parse(fields.get('data')!) };
}
