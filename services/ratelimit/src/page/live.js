/** The live view: what is decided each second, by rule; which keys come most; what was denied last. */
import { spark, TimeChart } from './chart.js';
import { byId, clock, descriptorText, duration, el, fill, number, rate, ruleName } from './dom.js';
import { ask } from './service.js';

const SECONDS_MAX = 300;
const RATE_SECONDS = 10;
const MINUTE_SECONDS = 60;
const ROWS_MAX = 200;
const DENIALS_MAX = 30;
const TOP_EVERY_MS = 2_000;
const NOTHING = { allowed: 0, denied: 0, shadowDenied: 0, degraded: 0, nearLimit: 0 };

export class LiveView {
  /** One for each second: `{ atMs, requests, rules: Map }`. */
  #seconds = [];
  /** By rule, since the start of the service. */
  #totals = new Map();
  #requests = { allowed: 0, denied: 0, degraded: 0, unmatched: 0 };
  #startedMs = 0;
  #denials = [];
  #rule = '';
  #isShown = true;
  #chart = new TimeChart(byId('chart'), {
    label: 'Decisions per second of the last five minutes',
    areas: [
      { name: 'allowed', kind: 'allowed', of: (point) => point.allowed },
      { name: 'denied', kind: 'denied', of: (point) => point.denied },
      { name: 'shadow', kind: 'shadow', of: (point) => point.shadowDenied },
    ],
  });

  constructor() {
    byId('chart-rule').addEventListener('change', ({ target }) => this.#choose(target.value));
    for (const id of ['top-by', 'top-window']) byId(id).addEventListener('change', () => this.#showTop());
    setInterval(() => this.#showTop(), TOP_EVERY_MS);
  }

  set isShown(isShown) {
    this.#isShown = isShown;
    if (isShown) this.#show();
    if (isShown) this.#showTop();
  }

  /** @param type - Of an event of the stream. */
  take(type, event) {
    if (type === 'totals') this.#begin(event);
    else if (type === 'counts') this.#count(event);
    else if (type === 'denied') this.#denials = [event, ...this.#denials].slice(0, DENIALS_MAX);
  }

  #begin({ startedMs, requests, rules, atMs }) {
    // The stream then tells the seconds that are kept, which these include.
    if (startedMs !== this.#startedMs) this.#seconds = [];
    this.#startedMs = startedMs;
    this.#totalsAtMs = atMs;
    this.#requests = { ...requests };
    this.#totals = new Map(rules.map((row) => [idOf(row), { ...row }]));
  }
  #totalsAtMs = 0;

  #count(event) {
    const rules = new Map(event.rules.map((row) => [idOf(row), row]));
    this.#seconds.push({ atMs: event.atMs, requests: event.requests, rules });
    if (this.#seconds.length > SECONDS_MAX) this.#seconds.shift();
    if (event.atMs > this.#totalsAtMs) this.#add(event);
    if (this.#isShown) this.#soon();
  }

  #add({ requests, rules }) {
    for (const name of Object.keys(this.#requests)) this.#requests[name] += requests[name];
    for (const row of rules) {
      const total = this.#totals.get(idOf(row)) ?? { domain: row.domain, rule: row.rule, ...NOTHING };
      for (const name of Object.keys(NOTHING)) total[name] += row[name];
      this.#totals.set(idOf(row), total);
    }
  }

  /** History comes in hundreds of events at once; the eye wants one picture of them. */
  #soon() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#show();
    });
  }
  #isDue = false;

  #choose(rule) {
    this.#rule = rule;
    byId('chart-rule').value = rule;
    this.#showChart();
  }

  #show() {
    this.#showTiles();
    this.#showChart();
    this.#showRules();
    this.#showDenials();
  }

  #showTiles() {
    const { allowed, denied, degraded, unmatched } = this.#requests;
    const recent = this.#seconds.slice(-RATE_SECONDS);
    const perSecond = (name) =>
      recent.reduce((sum, { requests }) => sum + requests[name], 0) / Math.max(1, recent.length);
    const all = allowed + denied;
    const share = all === 0 ? '' : `${rate((denied / all) * 100)} %`;
    byId('tiles').replaceChildren(
      tile('Allowed per second', rate(perSecond('allowed'))),
      tile('Denied per second', rate(perSecond('denied'))),
      tile('Requests', number(all), this.#startedMs && `since ${clock(this.#startedMs)}`),
      tile('Denied', number(denied), share),
      tile('No rule', number(unmatched)),
      tile('Degraded', number(degraded)),
    );
  }

  #showChart() {
    const untilMs = this.#seconds.at(-1)?.atMs ?? Date.now();
    const points = this.#seconds.map(({ atMs, requests, rules }) => {
      // Whoever only a shadow denied was allowed, so of requests as a whole there are none.
      const row = this.#rule === '' ? { ...requests, shadowDenied: 0 } : (rules.get(this.#rule) ?? NOTHING);
      const { allowed, denied, shadowDenied } = row;
      // An event tells of the second before it.
      return { atMs: atMs - 1_000, allowed, denied, shadowDenied };
    });
    // Five minutes, or as long as there is something to show.
    const seconds = Math.min(SECONDS_MAX, Math.max(MINUTE_SECONDS, points.length));
    this.#chart.show(points, { fromMs: untilMs - seconds * 1_000, untilMs, stepMs: 1_000 });
  }

  #showRules() {
    const totals = [...this.#totals.values()].sort(
      (a, b) => a.domain.localeCompare(b.domain) || a.rule.localeCompare(b.rule),
    );
    this.#offerRules(totals);
    const rows = totals.slice(0, ROWS_MAX).map((total) => this.#ruleRow(total));
    fill(byId('rule-table'), rows, 'No rule has been asked yet.');
  }

  #offerRules(totals) {
    const select = byId('chart-rule');
    if (select.options.length === totals.length + 1) return;
    const options = totals.map((total) => el('option', { value: idOf(total) }, `${total.domain} / ${total.rule}`));
    select.replaceChildren(el('option', { value: '' }, 'all requests'), ...options);
    select.value = this.#rule;
  }

  #ruleRow(total) {
    const id = idOf(total);
    const seconds = this.#seconds.slice(-MINUTE_SECONDS).map(({ rules }) => rules.get(id) ?? NOTHING);
    const recent = seconds.slice(-RATE_SECONDS);
    const perSecond = (name) => recent.reduce((sum, each) => sum + each[name], 0) / Math.max(1, recent.length);
    const denied = perSecond('denied');
    const choose = { onclick: () => this.#choose(id), title: 'Show this rule in the chart' };
    return el(
      'tr',
      null,
      el('td.key', null, el('button.plain', { type: 'button', ...choose }, ...ruleName(total.domain, total.rule))),
      el('td', null, seconds.length > 1 ? spark(seconds) : ''),
      el('td.number', null, rate(perSecond('allowed'))),
      el(denied > 0 ? 'td.number.denies' : 'td.number', null, rate(denied)),
      ...['allowed', 'denied', 'shadowDenied', 'nearLimit', 'degraded'].map((name) =>
        el('td.number', null, number(total[name])),
      ),
    );
  }

  #showDenials() {
    const rows = this.#denials.map(({ atMs, domain, rule, descriptor, retryAfterMs, shadow }) =>
      el(
        'tr',
        null,
        el('td.time', null, clock(atMs)),
        el('td', null, ...ruleName(domain, rule), shadow ? [' ', el('span.tag', null, 'shadow')] : ''),
        el('td.key.mono', null, descriptorText(descriptor)),
        el('td.number', null, duration(retryAfterMs)),
      ),
    );
    fill(byId('denial-table'), rows, 'Nothing has been denied.');
  }

  async #showTop() {
    if (!this.#isShown || document.hidden) return;
    const by = byId('top-by').value;
    const query = new URLSearchParams({ by, window: byId('top-window').value, limit: '20' });
    try {
      const { keys } = await ask('GET', `/v1/limits/top?${query}`);
      const most = keys[0]?.count ?? 1;
      const none = by === 'denied' ? 'Nothing has been denied.' : 'Nobody has asked.';
      fill(
        byId('top-table'),
        keys.map((key) => topRow(key, by, most)),
        none,
      );
    } catch (error) {
      fill(byId('top-table'), [], error.message);
    }
  }
}

const idOf = ({ domain, rule }) => JSON.stringify([domain, rule]);

function tile(name, value, hint) {
  return el('div', null, el('dt', null, name), el('dd', null, value, ' ', hint ? el('small', null, hint) : ''));
}

function topRow({ domain, rule, key, count, error }, by, most) {
  const share = el(`span.shares.${by}`);
  // Set by script, since the page's policy forbids styles in markup.
  share.style.width = `${Math.max(1, (count / most) * 100)}%`;
  const text = error > 0 ? `${number(count - error)}–${number(count)}` : number(count);
  // The name of a limit that came with a request is the limit itself.
  const name = rule.startsWith('inline:') ? 'inline' : rule;
  return el(
    'tr',
    null,
    el('td.key.mono', null, key.length === 0 ? '(all together)' : key.join(', '), share),
    el('td', null, ...ruleName(domain, name)),
    el('td.number', null, text),
  );
}
