/** One job: what it is, what happened to it, what came of it. */
import { cancel, promote, redriveOne } from './actions.js';
import { button, card, duration, el, facts, link, moment, number, redraw } from './dom.js';
import { ago, stateTag } from './jobs.js';
import { ask, jobPath } from './service.js';
import { timeline } from './timeline.js';

const ENDED = ['completed', 'dead', 'cancelled'];
/** Longer data are cut for the eye; the whole is in the answer of the API. */
const SHOWN_CHARS_MAX = 100_000;

/** How traces are looked at; asked for once. Undefined: nobody has said where they are. */
let traceUrl;

export class JobView {
  room = 'queues';
  title;
  element = el('div');
  #queue;
  #id;
  #shown;

  constructor(queue, id) {
    this.#queue = queue;
    this.#id = id;
    this.title = [
      ...[link('Queues', ['queues']), ' / ', link(queue, ['queue', queue]), ' / '],
      ...[link('jobs', ['queue', queue, 'jobs']), ' / ', id],
    ];
  }

  async refresh() {
    traceUrl ??= ask('GET', '/page:settings').catch(() => ({}));
    const [job, settings] = await Promise.all([ask('GET', jobPath(this.#queue, this.#id)), traceUrl]);
    const text = JSON.stringify(job);
    // What stands still is not drawn anew: somebody may be copying from it.
    if (text === this.#shown && (ENDED.includes(job.state) || job.state === 'waiting-children')) return;
    const isOpen = this.element.querySelector('details')?.open ?? false;
    if (text !== this.#shown) redraw(this.element, this.#all(job, settings));
    else this.element.querySelector('#timeline')?.replaceWith(timeline(job, Date.now()));
    if (isOpen) this.element.querySelector('details')?.setAttribute('open', '');
    this.#shown = text;
  }

  #all(job, settings) {
    const { data, result, progress, log, error } = job;
    return [
      el('div.row.actions', null, stateTag(job.state), this.#buttons(job), traceLink(job, settings.traceUrl)),
      el('div.card', null, this.#facts(job)),
      progress === undefined ? '' : textCard('Progress', shown(progress), meter(progress)),
      card('Attempts', timeline(job, Date.now())),
      error === undefined ? '' : errorCard(error),
      el(
        'div.columns',
        null,
        textCard('Data', shown(data)),
        result === undefined ? '' : textCard('Result', shown(result)),
      ),
      log.length === 0 ? '' : textCard('Log', log.join('\n')),
    ].filter((part) => part !== '');
  }

  #buttons({ id, state }) {
    const queue = this.#queue;
    return [
      state === 'dead' ? button('Redrive', () => redriveOne(queue, id), 'main') : '',
      ['scheduled', 'retrying'].includes(state) ? button('Promote', () => promote(queue, id), 'main') : '',
      ENDED.includes(state) ? '' : button('Cancel…', () => cancel(queue, id), 'danger'),
    ];
  }

  #facts(job) {
    const { name, group, tags, priority, attempt, attempts, stalls, enqueuedAtMs, dueAtMs, parentId } = job;
    const { startedAtMs, finishedAtMs, deadlineMs, worker, reason, pendingChildren } = job;
    const at = (ms) =>
      ms === undefined ? undefined : el('span', null, moment(ms), el('span.hint', null, ` ${ago(ms)}`));
    return facts([
      ['Name', name],
      ['Reason', reason === undefined ? undefined : el('strong.denies', null, reason)],
      ['Group', group],
      ['Tags', tags.join(', ')],
      ['Priority', number(priority)],
      ['Attempt', `${attempt} of ${attempts}`],
      ['Stalls', stalls === 0 ? undefined : number(stalls)],
      ['Enqueued', at(enqueuedAtMs)],
      ['Due', dueAtMs !== undefined && dueAtMs > Date.now() ? ['in ', duration(dueAtMs - Date.now())] : at(dueAtMs)],
      ['Begun', at(startedAtMs)],
      ['Ended', at(finishedAtMs)],
      ['Took', finishedAtMs === undefined ? undefined : duration(Math.max(0, finishedAtMs - enqueuedAtMs))],
      ['Worker', worker],
      ['Lease ends', deadlineMs === undefined ? undefined : moment(deadlineMs)],
      ['Parent', parentId === undefined ? undefined : link(parentId, ['queue', this.#queue, 'job', parentId])],
      ['Children to wait for', pendingChildren === 0 ? undefined : number(pendingChildren)],
      // Shown, not linked: whoever enqueued it chose where it leads.
      ...['callbackUrl', 'failureCallbackUrl', 'resultTo'].map((one) => [one, job[one]]),
    ]);
  }
}

const shown = (value) => {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return text.length <= SHOWN_CHARS_MAX
    ? text
    : `${text.slice(0, SHOWN_CHARS_MAX)}\n… ${number(text.length)} characters in all`;
};

const textCard = (title, text, ...more) =>
  el(
    'section.card',
    { 'aria-label': title },
    el('div.head', null, el('h3', null, title)),
    more,
    el('pre', { tabIndex: 0 }, text),
  );

/** A number, or one called `percent`, is a bar as well. */
function meter(progress) {
  const value = typeof progress === 'number' ? progress : progress?.percent;
  return typeof value === 'number'
    ? el('progress', { max: 100, value: Math.max(0, value), 'aria-label': 'Progress' })
    : '';
}

function errorCard({ type, message, stack }) {
  const details = stack === undefined ? '' : el('details', null, el('summary', null, 'Stack'), el('pre', null, stack));
  return el(
    'section.card',
    { 'aria-label': 'Last error' },
    el('div.head', null, el('h3', null, 'Last error')),
    el('p.denies', null, el('strong', null, type), `: ${message}`),
    details,
  );
}

/** The trace that it was enqueued in. Where it leads is a setting of the service, not of the job. */
function traceLink({ traceparent }, template) {
  const traceId = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent ?? '')?.[1];
  if (traceId === undefined) return '';
  if (template === undefined) return el('span.hint.mono', null, `trace ${traceId}`);
  const href = template.replaceAll('{traceId}', traceId);
  return el('a', { href, target: '_blank', rel: 'noreferrer' }, 'Its trace');
}
