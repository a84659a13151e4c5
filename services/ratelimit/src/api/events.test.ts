import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { type RunningLimiter, startLimiter, TEN_PER_USER } from './running.fixture.ts';

let limiter: RunningLimiter;
beforeEach(async () => {
  limiter = await startLimiter(TEN_PER_USER);
});
afterEach(() => limiter.stop());

interface Told {
  type: string;
  id: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: each kind of event has members of its own.
  data: any;
}

class Reader {
  readonly told: Told[] = [];
  isOver = false;
  readonly #leaving = new AbortController();

  static async open(query = '', lastId?: string): Promise<Reader> {
    const reader = new Reader();
    const headers: Record<string, string> = lastId === undefined ? {} : { 'last-event-id': lastId };
    const { signal } = reader.#leaving;
    const response = await fetch(`${limiter.url}/v1/limits/events${query}`, { headers, signal });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    void reader.#read(response.body!);
    return reader;
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = '';
    try {
      for await (const chunk of body.pipeThrough(new TextDecoderStream() as never)) {
        text += chunk;
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          this.#take(text.slice(0, end));
          text = text.slice(end + 2);
        }
      }
    } catch {
      // It was left, or cut.
    }
    this.isOver = true;
  }

  #take(block: string): void {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
    this.told.push({ type: field('event')!, id: field('id'), data: JSON.parse(field('data')!) });
  }

  async waitFor(type: string, isIt: (data: Told['data']) => boolean = () => true): Promise<Told> {
    return eventually(() => this.told.find((one) => one.type === type && isIt(one.data)) ?? false);
  }

  leave(): void {
    this.#leaving.abort();
  }
}

const hasTraffic = ({ requests }: Told['data']) => requests.allowed + requests.denied > 0;

describe('the event stream', () => {
  test('begins with the totals, then tells each second what was decided, and who was denied', async () => {
    const reader = await Reader.open();
    expect(await reader.waitFor('totals')).toMatchObject({ id: undefined, data: { requests: { allowed: 0 } } });
    await limiter.check(Array.from({ length: 12 }, () => '<b>ann'));
    const counts = await reader.waitFor('counts', hasTraffic);
    expect(counts.data).toMatchObject({
      requests: { allowed: 10, denied: 2, degraded: 0, unmatched: 0 },
      rules: [{ domain: 'api', rule: 'user', allowed: 10, denied: 2 }],
    });
    const denials = reader.told.filter(({ type }) => type === 'denied');
    expect(denials.map(({ data }) => data.descriptor)).toEqual([
      [{ key: 'user', value: '<b>ann' }],
      [{ key: 'user', value: '<b>ann' }],
    ]);
    reader.leave();
  });

  test('goes on behind the last id: nothing twice, nothing left out', async () => {
    const first = await Reader.open();
    await first.waitFor('counts');
    const { id } = first.told.findLast((one) => one.id !== undefined)!;
    first.leave();
    await limiter.check(['ann']);
    const watching = await Reader.open();
    await watching.waitFor('counts');
    watching.leave();
    const second = await Reader.open('', id);
    await second.waitFor('counts', hasTraffic);
    second.leave();
    const numbers = second.told.flatMap((one) => (one.id === undefined ? [] : [Number(one.id.split('-')[1])]));
    const after = Number(id!.split('-')[1]);
    expect(numbers).toEqual(numbers.map((_, at) => after + 1 + at));
    expect(second.told.some(({ type }) => type === 'gap')).toBe(false);
  });

  test('says that there is a gap when the id is of another run, and tells what is kept', async () => {
    const first = await Reader.open();
    await first.waitFor('counts');
    first.leave();
    const other = await Reader.open('', 'abc-7');
    await other.waitFor('counts');
    other.leave();
    expect(other.told.slice(0, 3).map(({ type }) => type)).toEqual(['totals', 'gap', 'counts']);
    expect(other.told[2]!.id).toMatch(/-1$/);
  });

  test('tells the last minutes first when asked, with totals that fit to them', async () => {
    await limiter.check(['ann', 'bob']);
    const watching = await Reader.open();
    await watching.waitFor('counts', hasTraffic);
    watching.leave();
    const late = await Reader.open('?history=true');
    const { data } = await late.waitFor('counts', hasTraffic);
    late.leave();
    const totals = late.told[0]!.data;
    expect(totals).toMatchObject({ requests: { allowed: 2 }, rules: [{ rule: 'user', allowed: 2 }] });
    expect(data.atMs).toBeLessThanOrEqual(totals.atMs);
  });

  test('refuses an id that is none', async () => {
    const answer = await limiter.get('/v1/limits/events', { 'last-event-id': 'yesterday' });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as { detail: string }).detail).toContain('"yesterday"');
  });

  test('ends with a word when the service stops, and does not hold it up', async () => {
    const reader = await Reader.open();
    await reader.waitFor('totals');
    const started = performance.now();
    await limiter.stop();
    expect(performance.now() - started).toBeLessThan(5_000);
    await reader.waitFor('end');
    await eventually(() => reader.isOver);
  });
});
