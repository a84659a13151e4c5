/** Who works: as workers tell of themselves. */
import { order } from './actions.js';
import { button, card, duration, el, fill, link, number, size, tableOf } from './dom.js';
import { ask } from './service.js';

export const workerTable = () => {
  const table = tableOf(['Worker', 'Queues', '#Slots', '#Memory', 'Last word', 'State', '']);
  table.id = 'worker-table';
  return table;
};

export function workerRow({ worker, queues, slots, used, rssBytes, host, state, lastSeenAtMs }) {
  const share = el('span.shares');
  // Set by script, since the page's policy forbids styles in markup.
  share.style.width = `${Math.min(100, (used / Math.max(1, slots)) * 100)}%`;
  return el(
    'tr',
    null,
    el('td.key.mono', null, worker, host ? el('div.hint', null, host) : ''),
    el(
      'td.key',
      null,
      queues.flatMap((queue, at) => [at === 0 ? '' : ', ', link(queue, ['queue', queue])]),
    ),
    el('td.number', null, `${number(used)} of ${number(slots)}`, share),
    el('td.number', null, rssBytes === undefined ? '' : size(rssBytes)),
    el('td.time', null, `${duration(Math.max(0, Date.now() - lastSeenAtMs))} ago`),
    el('td', null, state === 'run' ? 'works' : el('span.tag.warns', null, state)),
    el(
      'td',
      null,
      el(
        'div.row',
        null,
        state === 'run' ? button('Quiet…', () => order(worker, 'quiet')) : '',
        state === 'terminate' ? '' : button('Terminate…', () => order(worker, 'terminate'), 'danger'),
      ),
    ),
  );
}

export class WorkersView {
  room = 'workers';
  title = ['Workers'];
  element = el('div');
  #table = workerTable();

  constructor() {
    this.element.append(card('Workers', this.#table, el('span.hint', null, 'who told of itself in the last minute')));
  }

  async refresh() {
    const { workers } = await ask('GET', '/v1/workers');
    fill(this.#table, workers.map(workerRow), 'No worker has told of itself in the last minute.');
  }
}
