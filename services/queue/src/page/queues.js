/** All queues: what waits, how old it is, how fast it goes. */
import { SPARK_SAMPLES, spark } from './chart.js';
import { card, duration, el, fill, link, number, rate, tableOf } from './dom.js';
import { ask, pathOf } from './service.js';

/** Rows on a page: each is asked about every other second. */
const ROWS_MAX = 50;
/** Questions at a time; a browser has six connections, and one is for what people do. */
const AT_ONCE = 4;

const HEADS = ['Queue', '#Waiting', '#Oldest', '#Leased', '#Later', '#Dead', '#in/s', '#done/s', '#failed/s'];

export class QueuesView {
  room = 'queues';
  title = ['Queues'];
  element = el('div');
  #samples;
  #filter = el('input', { type: 'search', placeholder: 'part of a name', oninput: () => this.#filtered() });
  #table = tableOf([...HEADS, 'Lately', '#Workers']);
  #pager = el('div.row');
  #from = 0;
  #queues = [];
  #stats = new Map();

  constructor(samples) {
    this.#samples = samples;
    this.#table.id = 'queue-table';
    const search = el('label', null, 'Find ', this.#filter);
    this.element.append(card('All queues', this.#table, search, this.#pager));
    fill(this.#table, [], 'Looking…');
  }

  async refresh() {
    this.#queues = (await ask('GET', '/v1/queues')).queues;
    const rows = this.#shown();
    const left = [...rows];
    const askSome = async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await this.#lookAt(next.queue);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, askSome));
    this.#show();
  }

  async #lookAt(queue) {
    const stats = await ask('GET', pathOf(['queues', queue, 'stats']));
    this.#samples.take(queue, stats, Date.now());
    this.#stats.set(queue, stats);
  }

  get #found() {
    const part = this.#filter.value.trim().toLowerCase();
    return this.#queues.filter(({ queue }) => queue.toLowerCase().includes(part));
  }

  #shown() {
    return this.#found.slice(this.#from, this.#from + ROWS_MAX);
  }

  #filtered() {
    this.#from = 0;
    this.#show();
  }

  #show() {
    const found = this.#found.length;
    if (this.#from >= found) this.#from = 0;
    const none =
      this.#queues.length === 0 ? 'There is no queue yet: the first job makes one.' : 'No queue is called so.';
    fill(
      this.#table,
      this.#shown().map((info) => this.#row(info)),
      none,
    );
    const turn = (by) => () => {
      this.#from += by;
      this.#show();
    };
    const step = (text, by, isThere) => el('button', { type: 'button', disabled: !isThere, onclick: turn(by) }, text);
    const last = Math.min(found, this.#from + ROWS_MAX);
    const pages = [
      step('Before', -ROWS_MAX, this.#from > 0),
      el('span.hint', null, `${this.#from + 1}–${last} of ${number(found)}`),
      step('Next', ROWS_MAX, last < found),
    ];
    this.#pager.replaceChildren(...(found > ROWS_MAX ? pages : []));
  }

  #row({ queue, lane }) {
    const stats = this.#stats.get(queue);
    const name = el('td.key', null, link(queue, ['queue', queue]), ' ', el('span.tag', null, lane));
    // It has come into view just now.
    if (stats === undefined) return el('tr', null, name, el('td', { colSpan: HEADS.length + 1 }, '…'));
    const { counts, oldestWaitingMs, paused, pausedGroups, workers, unfetchedMs } = stats;
    if (paused) name.append(' ', el('span.tag.warns', null, 'paused'));
    else if (pausedGroups.length > 0)
      name.append(
        ' ',
        el(
          'span.tag.warns',
          null,
          pausedGroups.length === 1 ? '1 group paused' : `${pausedGroups.length} groups paused`,
        ),
      );
    const rates = this.#samples.rates(queue);
    const dead = counts.dead === 0 ? '0' : link(number(counts.dead), ['queue', queue, 'jobs'], { state: 'dead' });
    const isStuck = unfetchedMs > 10_000 && !paused;
    return el(
      'tr',
      { 'data-queue': queue },
      name,
      el('td.number', null, number(counts.waiting)),
      el(
        isStuck ? 'td.number.denies' : 'td.number',
        isStuck ? { title: 'nobody fetches' } : null,
        ageOf(oldestWaitingMs),
      ),
      el('td.number', null, number(counts.leased)),
      el('td.number', null, number(counts.scheduled + counts.retrying + counts['waiting-children'])),
      el(counts.dead > 0 ? 'td.number.denies' : 'td.number', null, dead),
      el('td.number', null, rate(rates.enqueued)),
      el('td.number', null, rate(rates.completed)),
      el(rates.failed > 0 ? 'td.number.denies' : 'td.number', null, rate(rates.failed)),
      el('td', null, spark(this.#samples.of(queue).slice(-SPARK_SAMPLES))),
      el('td.number', null, workers.count === 0 ? '–' : `${number(workers.count)} (${workers.used}/${workers.total})`),
    );
  }
}

export const ageOf = (ms) => (ms === 0 ? '–' : duration(ms));
