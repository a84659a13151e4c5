/** What is enqueued by a calendar. */
import { runNow } from './actions.js';
import { button, card, duration, el, fill, link, moment, number, tableOf } from './dom.js';
import { ask } from './service.js';

export const scheduleTable = () => {
  const table = tableOf(['Schedule', 'Queue', 'When', 'Next', 'Last', '#Runs', '']);
  table.id = 'schedule-table';
  return table;
};

export function scheduleRow(schedule) {
  const { id, queue, job, nextRunAtMs, lastRunAtMs, lastJobId, lastError, runs, missed, paused } = schedule;
  const last = lastRunAtMs === undefined ? '' : moment(lastRunAtMs);
  return el(
    'tr',
    null,
    el(
      'td.key',
      null,
      id,
      ' ',
      paused ? el('span.tag.warns', null, 'paused') : '',
      el('div.hint', null, job?.name ?? ''),
    ),
    el('td.key', null, link(queue, ['queue', queue])),
    el('td.key', null, whenOf(schedule), lastError ? el('div.denies', null, lastError) : ''),
    el('td.time', null, nextRunAtMs === undefined ? '–' : moment(nextRunAtMs)),
    el(
      'td.time',
      null,
      lastJobId === undefined ? last : el('span', null, last, ' ', link('job', ['queue', queue, 'job', lastJobId])),
    ),
    el('td.number', null, number(runs), missed > 0 ? el('div.hint', null, `${number(missed)} missed`) : ''),
    el(
      'td',
      null,
      button('Run now', () => runNow(id)),
    ),
  );
}

function whenOf({ cron, timeZone, everyMs, at }) {
  if (cron !== undefined) return [el('code', null, cron), ` ${timeZone ?? 'UTC'}`];
  return everyMs === undefined ? ['once, ', moment(at)] : [`every ${duration(everyMs)}`];
}

export class SchedulesView {
  room = 'schedules';
  title = ['Schedules'];
  element = el('div');
  #table = scheduleTable();

  constructor() {
    this.element.append(card('Schedules', this.#table));
  }

  async refresh() {
    const { schedules } = await ask('GET', '/v1/schedules');
    fill(this.#table, schedules.map(scheduleRow), 'Nothing is scheduled.');
  }
}
