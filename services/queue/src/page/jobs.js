/** Jobs of one queue by state, name, tag, group, time and id, page by page; the dead ones with their reasons. */
import { purge, redrive, redriveOne } from './actions.js';
import { fieldOf } from './dialog.js';
import { addressOf, button, card, duration, el, fill, link, moment, tableOf } from './dom.js';
import { tabs } from './queue.js';
import { ask, pathOf } from './service.js';

const PAGE = 25;
const ENDED = ['completed', 'dead', 'cancelled'];
const STATES = [
  ['', 'any'],
  ...['waiting', 'scheduled', 'retrying', 'leased', 'waiting-children', ...ENDED].map((state) => [state, state]),
  ['waiting,scheduled,retrying,leased,waiting-children', 'not ended'],
  [ENDED.join(','), 'ended'],
];

export class JobsView {
  room = 'queues';
  title;
  element;
  #queue;
  #query;
  #table;
  #pager = el('div.row.actions');
  /** Where the pages began, this one last; undefined is the first. */
  #cursors = [undefined];
  #next;
  #actions = el('div.row.actions');

  constructor(queue, query) {
    this.#queue = queue;
    this.#query = query;
    const isDead = query.state === 'dead';
    this.title = [
      link('Queues', ['queues']),
      ' / ',
      link(queue, ['queue', queue]),
      isDead ? ' / dead letters' : ' / jobs',
    ];
    this.#table = tableOf(['Job', 'Name', 'State', 'Group', '#Attempt', 'Enqueued', isDead ? 'Why' : 'Now', '']);
    this.#table.id = 'job-table';
    this.element = el(
      'div',
      null,
      el('div.head', null, tabs(queue, isDead ? 'dead' : 'jobs')),
      this.#search(),
      this.#actions,
      card(isDead ? 'Dead letters' : 'Jobs', this.#table),
      this.#pager,
    );
    if (isDead) {
      this.#actions.append(
        button('Redrive…', () => redrive(queue, this.#filter()), 'main'),
        button('Purge…', () => purge(queue, 'dead'), 'danger'),
      );
    }
    fill(this.#table, [], 'Looking…');
  }

  #search() {
    const { state = '', name = '', tag = '', group = '', from = '', until = '' } = this.#query;
    const form = el(
      'form.card',
      { role: 'search', onsubmit: (event) => this.#find(event) },
      el(
        'div.grid',
        null,
        fieldOf({ label: 'State', name: 'state', value: state, options: STATES }),
        fieldOf({ label: 'Name', name: 'name', value: name, maxLength: 128 }),
        fieldOf({ label: 'Tag', name: 'tag', value: tag, maxLength: 64 }),
        fieldOf({ label: 'Group', name: 'group', value: group, maxLength: 256 }),
        fieldOf({ label: 'Enqueued from', name: 'from', type: 'datetime-local', step: 1, value: localTime(from) }),
        fieldOf({ label: 'and before', name: 'until', type: 'datetime-local', step: 1, value: localTime(until) }),
        fieldOf({ label: 'Id', name: 'id', maxLength: 128 }),
        el('button.main', { type: 'submit' }, 'Find'),
      ),
    );
    return form;
  }

  /** What is looked for is in the address: it can be sent to somebody, and gone back from. */
  #find(event) {
    event.preventDefault();
    const { id, from, until, ...query } = Object.fromEntries(new FormData(event.target));
    if (id.trim() !== '') {
      location.hash = addressOf(['queue', this.#queue, 'job', id.trim()]);
      return;
    }
    const times = { from: momentOf(from), until: momentOf(until) };
    location.hash = addressOf(['queue', this.#queue, 'jobs'], { ...query, ...times });
  }

  #filter() {
    const { name, tag, group, from, until } = this.#query;
    return { name, tag, group, from, until };
  }

  async refresh() {
    const cursor = this.#cursors.at(-1);
    const wish = { ...this.#filter(), state: this.#query.state, limit: String(PAGE), cursor };
    const { jobs, cursor: next } = await ask('GET', pathOf(['queues', this.#queue, 'jobs'], wish));
    // Somebody has turned the page meanwhile.
    if (cursor !== this.#cursors.at(-1)) return;
    this.#next = next;
    const none = next === undefined ? 'No job is like that.' : 'None so far: look on.';
    fill(
      this.#table,
      jobs.map((job) => this.#row(job)),
      none,
    );
    this.#showPager();
  }

  #showPager() {
    const turn = (change) => async () => {
      change();
      await this.refresh();
    };
    const before = turn(() => this.#cursors.pop());
    const on = turn(() => this.#cursors.push(this.#next));
    this.#pager.replaceChildren(
      el('button', { type: 'button', disabled: this.#cursors.length === 1, onclick: before }, 'Before'),
      el('span.hint', null, `page ${this.#cursors.length}`),
      el('button', { type: 'button', disabled: this.#next === undefined, onclick: on }, 'Next'),
    );
  }

  #row(job) {
    const { id, name, state, group, tags, attempt, attempts, enqueuedAtMs } = job;
    return el(
      'tr',
      null,
      el('td.mono', null, link(id, ['queue', this.#queue, 'job', id])),
      el('td.key', null, name, tags.length === 0 ? '' : el('div.hint', null, tags.join(', '))),
      el('td', null, stateTag(state)),
      el('td.key', null, group),
      el('td.number', null, `${attempt}/${attempts}`),
      el('td.time', null, moment(enqueuedAtMs)),
      el('td.why', null, nowOf(job)),
      el('td', null, state === 'dead' ? redriveButton(this.#queue, id) : ''),
    );
  }
}

const redriveButton = (queue, id) =>
  el('button', { type: 'button', 'data-name': `redrive ${id}`, onclick: () => redriveOne(queue, id) }, 'Redrive');

export const stateTag = (state) => el(`span.tag.state-${state}`, null, state);

/** In a few words: why it is where it is. */
function nowOf({ state, reason, error, worker, dueAtMs, finishedAtMs, progress, pendingChildren }) {
  const said = error === undefined ? [] : [`${error.type}: ${error.message}`];
  if (state === 'leased')
    return [`${worker || 'somebody'} has it`, progress === undefined ? '' : `, ${JSON.stringify(progress)}`];
  if (state === 'scheduled') return ['due ', moment(dueAtMs)];
  if (state === 'retrying')
    return ['tried again ', moment(dueAtMs), ...said.map((text) => el('div.denies', null, text))];
  if (state === 'waiting-children') return [`for ${pendingChildren} children`];
  if (state === 'completed') return finishedAtMs === undefined ? [] : [moment(finishedAtMs)];
  if (state !== 'dead' && state !== 'cancelled') return said;
  const isSaid = reason === undefined || reason === '' || reason === error?.message;
  const at = finishedAtMs === undefined ? '' : el('span.hint', null, ' ', moment(finishedAtMs));
  return [el('strong', null, isSaid ? '' : reason), at, ...said.map((text) => el('div.denies', null, text))];
}

/** What a field for times wants: in the zone of whoever looks. */
function localTime(atMs) {
  if (!/^\d+$/.test(atMs)) return '';
  const at = new Date(Number(atMs));
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

const momentOf = (local) => (local === '' ? '' : String(new Date(local).getTime()));

/** How long ago, for the head of a job. */
export const ago = (atMs) => `${duration(Math.max(0, Date.now() - atMs))} ago`;
