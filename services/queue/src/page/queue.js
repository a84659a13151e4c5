/** One queue: its figures, charts, groups, schedules and workers, and what can be done to it. */
import { drain, pause, pauseGroup, purge, redrive, resume } from './actions.js';
import { TimeChart } from './chart.js';
import { button, card, duration, el, facts, fill, link, number, rate, redraw, size, tableOf, tiles } from './dom.js';
import { ageOf } from './queues.js';
import { scheduleRow, scheduleTable } from './schedules.js';
import { ask, pathOf } from './service.js';
import { workerRow, workerTable } from './workers.js';

/** Charts show at least so much, and at the most what was seen since the page is open. */
const SPAN_MS_MIN = 60_000;

/** Links between the views of one queue. */
export function tabs(queue, current) {
  const tab = (text, name, parts, query) => {
    const one = link(text, ['queue', queue, ...parts], query);
    if (name === current) one.setAttribute('aria-current', 'page');
    return one;
  };
  return el(
    'nav.tabs',
    { 'aria-label': `Views of ${queue}` },
    tab('Overview', 'overview', []),
    tab('Jobs', 'jobs', ['jobs']),
    tab('Dead letters', 'dead', ['jobs'], { state: 'dead' }),
  );
}

export class QueueView {
  room = 'queues';
  title;
  element;
  #queue;
  #samples;
  #marks = el('span');
  #actions = el('div.row.actions');
  #tiles = el('dl.tiles', { id: 'queue-tiles' });
  #flow = el('div');
  #depth = el('div');
  #groups = tableOf(['Group', 'State', '']);
  #schedules = scheduleTable();
  #workers = workerTable();
  #settings = el('div');
  #flowChart;
  #depthChart;

  constructor(queue, samples) {
    this.#queue = queue;
    this.#samples = samples;
    this.title = [link('Queues', ['queues']), ' / ', queue];
    this.#groups.id = 'group-table';
    this.element = el(
      'div',
      null,
      el('div.head', null, tabs(queue, 'overview'), this.#marks),
      this.#actions,
      this.#tiles,
      el('div.columns', null, chartCard('Jobs per second', this.#flow), chartCard('Waiting and leased', this.#depth)),
      card('Workers', this.#workers),
      card('Schedules', this.#schedules),
      el(
        'div.columns',
        null,
        card(
          'Paused groups',
          this.#groups,
          button('Pause a group…', () => pauseGroup(queue)),
        ),
        el(
          'section.card',
          { 'aria-label': 'Settings' },
          el('div.head', null, el('h3', null, 'Settings')),
          this.#settings,
        ),
      ),
    );
    this.#drawCharts();
  }

  #drawCharts() {
    this.#flowChart = new TimeChart(this.#flow, {
      label: 'Jobs per second',
      lines: ['enqueued', 'completed', 'failed'].map((kind) => ({ name: kind, kind, of: (point) => point[kind] })),
    });
    this.#depthChart = new TimeChart(this.#depth, {
      label: 'Jobs that wait, and that workers have',
      areas: ['leased', 'waiting'].map((kind) => ({ name: kind, kind, of: (point) => point[kind] })),
    });
  }

  async refresh() {
    const queue = this.#queue;
    const [info, stats, { schedules }, { workers }] = await Promise.all([
      ask('GET', pathOf(['queues', queue])),
      ask('GET', pathOf(['queues', queue, 'stats'])),
      ask('GET', pathOf(['schedules'], { queue })),
      ask('GET', pathOf(['workers'], { queue })),
    ]);
    this.#samples.take(queue, stats, Date.now());
    this.#showHead(info, stats);
    this.#tiles.replaceChildren(...tiles(this.#figures(stats)));
    this.#showCharts();
    fill(this.#workers, workers.map(workerRow), 'No worker has told of itself in the last minute.');
    fill(this.#schedules, schedules.map(scheduleRow), 'Nothing is scheduled.');
    fill(
      this.#groups,
      stats.pausedGroups.map((group) => this.#groupRow(group)),
      'No group is paused.',
    );
    this.#settings.replaceChildren(settings(info));
  }

  #showHead({ lane, push }, { paused, counts }) {
    const queue = this.#queue;
    redraw(
      this.#marks,
      [
        el('span.tag', null, lane),
        push ? [' ', el('span.tag', null, 'pushed to a webhook')] : [],
        paused ? [' ', el('span.tag.warns', null, 'paused')] : [],
      ].flat(),
    );
    redraw(this.#actions, [
      paused ? button('Resume', () => resume(queue), 'main') : button('Pause', () => pause(queue)),
      ...(counts.dead > 0 ? [button('Redrive…', () => redrive(queue))] : []),
      button('Drain…', () => drain(queue), 'danger'),
      button('Purge…', () => purge(queue), 'danger'),
    ]);
  }

  #figures({ counts, oldestWaitingMs, unfetchedMs, waitMs, processMs, workers, bytes, totals }) {
    const queue = this.#queue;
    const jobsIn = (state, count = counts[state]) => link(number(count), ['queue', queue, 'jobs'], { state });
    const rates = this.#samples.rates(queue);
    return [
      ['Waiting', jobsIn('waiting')],
      ['Oldest waits', ageOf(oldestWaitingMs), unfetchedMs > 0 ? `nobody asked for ${duration(unfetchedMs)}` : ''],
      ['Leased', jobsIn('leased'), `${number(workers.used)} of ${number(workers.total)} slots`],
      ['Scheduled', jobsIn('scheduled')],
      ['Retrying', jobsIn('retrying')],
      ['For children', jobsIn('waiting-children')],
      ['Completed', jobsIn('completed'), `${number(totals.completed)} in all`],
      ['Dead', jobsIn('dead'), `${number(totals.dead)} in all`, counts.dead > 0 ? 'denies' : ''],
      ['Cancelled', jobsIn('cancelled')],
      ['Done per second', rate(rates.completed)],
      ['Wait', duration(waitMs.p50Ms), `p99 ${duration(waitMs.p99Ms)}`],
      ['Work', duration(processMs.p50Ms), `p99 ${duration(processMs.p99Ms)}`],
      ['In the store', size(bytes)],
    ];
  }

  #showCharts() {
    const points = this.#samples.of(this.#queue);
    const untilMs = points.at(-1).untilMs;
    const span = { fromMs: Math.min(points[0].atMs, untilMs - SPAN_MS_MIN), untilMs };
    this.#flowChart.show(points, span);
    this.#depthChart.show(points, span);
  }

  #groupRow(group) {
    return el(
      'tr',
      null,
      el('td.key', null, link(group === '' ? '(none)' : group, ['queue', this.#queue, 'jobs'], { group })),
      el('td', null, el('span.tag.warns', null, 'paused')),
      el(
        'td.number',
        null,
        el(
          'button',
          {
            type: 'button',
            'aria-label': `Resume ${group}`,
            'data-name': group,
            onclick: () => resume(this.#queue, group),
          },
          'Resume',
        ),
      ),
    );
  }
}

const chartCard = (title, chart) =>
  el('section.card', { 'aria-label': title }, el('div.head', null, el('h3', null, title)), chart);

const limit = (value, unit = '') => (value === 0 ? 'no limit' : `${number(value)}${unit}`);

function settings({ limits, groups, defaults, schema }) {
  const { attempts, backoff, timeoutMs, ttlMs, retain, leaseMs } = defaults;
  return facts([
    ['Jobs', limit(limits.jobsMax)],
    ['At a time', limit(limits.concurrency)],
    [
      'Rate',
      limits.ratePerSecond === 0 ? 'no limit' : `${rate(limits.ratePerSecond)}/s, ${number(limits.burst)} at once`,
    ],
    ['Stalls', `${number(limits.maxStalls)} until it is dead`],
    [
      'Each group',
      `weight ${groups.weight}, at a time ${limit(groups.concurrency)}, rate ${limit(groups.ratePerSecond, '/s')}`,
    ],
    ['Attempts', number(attempts)],
    ['Backoff', `${backoff.type} from ${duration(backoff.delayMs)}, at the most ${duration(backoff.maxMs)}`],
    ['Timeout', timeoutMs === 0 ? 'none' : duration(timeoutMs)],
    ['To be begun within', ttlMs === 0 ? 'any time' : duration(ttlMs)],
    ['Lease', duration(leaseMs)],
    ['Completed are kept', `${number(retain.count)}, for ${duration(retain.ageMs)}`],
    ['Schema of data', schema === undefined ? '' : 'yes'],
  ]);
}
