/**
 * A chart over time: areas stacked upon each other, lines above them, and a cursor that says what was at one moment,
 * by mouse, finger or arrow keys. SVG drawn anew as a whole: a few hundred points take less than a millisecond. (The
 * rate limiter's page has it too, with steps of one length.)
 */
import { clock, el, rate, svg } from './dom.js';

const HEIGHT = 150;
/** Two minutes. */
export const SPARK_SAMPLES = 60;
const EDGE = { top: 10, right: 8, bottom: 22, left: 46 };

/**
 * @param {HTMLElement} place
 * @param {{ label: string, areas?: Series[], lines?: Series[] }} told - Series: `{ name, kind, of(point) }`; `kind` is the
 *   class of its colour. While the cursor is nowhere, the legend tells the latest.
 */
export class TimeChart {
  #told;
  #figure = svg('svg', { role: 'img', tabindex: 0, preserveAspectRatio: 'none' });
  #when = el('li.when');
  #values = new Map();
  /** `{ atMs, … }`, in the order of time; each holds until the next one. */
  #points = [];
  #span = { fromMs: 0, untilMs: 1 };
  /** The moment that is looked at; points come anew each second. */
  #cursorMs;

  constructor(place, told) {
    this.#told = { areas: [], lines: [], ...told };
    const legend = el('ul.legend');
    for (const series of [...this.#told.areas, ...this.#told.lines]) {
      const value = el('b', null, '–');
      this.#values.set(series, value);
      legend.append(el('li', null, el(`span.swatch.${series.kind}`), `${series.name} `, value));
    }
    legend.append(this.#when);
    place.classList.add('chart');
    place.replaceChildren(this.#figure, legend);
    this.#listen();
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  show(points, span) {
    this.#points = points;
    this.#span = span;
    this.#draw();
  }

  #listen() {
    const figure = this.#figure;
    figure.addEventListener('pointermove', ({ offsetX }) => {
      const { fromMs, untilMs } = this.#span;
      const share = (offsetX - EDGE.left) / Math.max(1, this.#width() - EDGE.left - EDGE.right);
      this.#pointAt(fromMs + share * (untilMs - fromMs));
    });
    figure.addEventListener('pointerleave', () => this.#pointAt(undefined));
    figure.addEventListener('blur', () => this.#pointAt(undefined));
    figure.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step === undefined || this.#points.length === 0) return;
      event.preventDefault();
      const last = this.#points.length - 1;
      const at = this.#cursorMs === undefined ? last : this.#points.indexOf(this.#looked) + step;
      this.#pointAt(this.#points[Math.min(last, Math.max(0, at))].atMs);
    });
  }

  #pointAt(atMs) {
    this.#cursorMs = atMs;
    this.#draw();
  }

  get #looked() {
    const atMs = this.#cursorMs;
    return atMs === undefined ? undefined : this.#points.findLast((point) => point.atMs <= atMs);
  }

  #width() {
    return this.#figure.clientWidth || 600;
  }

  #draw() {
    const width = this.#width();
    const { fromMs, untilMs } = this.#span;
    const most = niceMost(Math.max(0, ...this.#points.map((point) => this.#mostOf(point))));
    const x = (atMs) =>
      EDGE.left + ((atMs - fromMs) / Math.max(1, untilMs - fromMs)) * (width - EDGE.left - EDGE.right);
    const y = (value) => HEIGHT - EDGE.bottom - (value / most) * (HEIGHT - EDGE.top - EDGE.bottom);
    this.#figure.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.#figure.replaceChildren(...grid({ width, most, y }), ...times({ fromMs, untilMs, width, x }));
    this.#figure.append(...this.#series(x, y));
    const looked = this.#looked;
    if (looked !== undefined) this.#figure.append(cursorLine(x(looked.atMs)));
    this.#say();
  }

  #mostOf(point) {
    const stacked = this.#told.areas.reduce((sum, series) => sum + series.of(point), 0);
    return Math.max(stacked, ...this.#told.lines.map((series) => series.of(point)));
  }

  #series(x, y) {
    const points = this.#points;
    if (points.length === 0) return [];
    const { untilMs } = this.#span;
    const base = points.map(() => 0);
    const areas = this.#told.areas.map((series) => {
      const lower = [...base];
      for (const [at, point] of points.entries()) base[at] += series.of(point);
      const path = steps(points, base, untilMs, x, y) + stepsBack(points, lower, untilMs, x, y);
      return svg('path', { class: `area ${series.kind}`, d: `M${path}Z` });
    });
    const lines = this.#told.lines.map((series) => {
      const values = points.map((point) => series.of(point));
      return svg('path', { class: `stroke ${series.kind}`, d: `M${steps(points, values, untilMs, x, y)}` });
    });
    return [...areas, ...lines];
  }

  #say() {
    const { label } = this.#told;
    const point = this.#looked ?? this.#points.at(-1);
    if (point === undefined) return;
    const words = [];
    for (const [series, place] of this.#values) {
      const value = rate(series.of(point));
      place.textContent = value;
      words.push(`${series.name} ${value}`);
    }
    this.#when.textContent = `at ${clock(point.atMs)}`;
    this.#figure.setAttribute('aria-label', `${label}. ${this.#when.textContent}: ${words.join(', ')}`);
  }
}

/** As a staircase: a value holds until the next one, and nothing is invented between two. */
function steps(points, values, untilMs, x, y) {
  return points
    .map(
      ({ atMs }, at) => `${px(x(atMs))},${px(y(values[at]))}L${px(x(endOf(points, at, untilMs)))},${px(y(values[at]))}`,
    )
    .join('L');
}

function stepsBack(points, values, untilMs, x, y) {
  const back = points.map(
    ({ atMs }, at) => `L${px(x(endOf(points, at, untilMs)))},${px(y(values[at]))}L${px(x(atMs))},${px(y(values[at]))}`,
  );
  return back.reverse().join('');
}

const endOf = (points, at, untilMs) => points[at + 1]?.atMs ?? untilMs;

const px = (value) => Math.round(value * 10) / 10;

function cursorLine(at) {
  return svg('line', { class: 'cursor', x1: at, x2: at, y1: EDGE.top, y2: HEIGHT - EDGE.bottom });
}

function grid({ width, most, y }) {
  return [0, 0.5, 1].flatMap((share) => {
    const at = y(most * share);
    const text = svg('text', { x: EDGE.left - 6, y: at + 4, 'text-anchor': 'end' });
    text.textContent = rate(most * share);
    return [svg('line', { class: 'rule', x1: EDGE.left, x2: width - EDGE.right, y1: at, y2: at }), text];
  });
}

const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000];
const TICKS = [1, 2, 5, 10, 15, 30]
  .flatMap((n) => [n * SECOND, n * MINUTE])
  .concat([1, 2, 4, 6, 12].map((n) => n * HOUR));

function times({ fromMs, untilMs, width, x }) {
  const most = Math.max(2, Math.floor((width - EDGE.left) / 90));
  const isFit = (tickMs) => (untilMs - fromMs) / tickMs <= most;
  const tickMs = TICKS.toSorted((a, b) => a - b).find(isFit) ?? Math.ceil((untilMs - fromMs) / most / DAY) * DAY;
  const labels = [];
  for (let atMs = Math.ceil(fromMs / tickMs) * tickMs; atMs <= untilMs; atMs += tickMs) {
    const at = x(atMs);
    // Half a label would be cut off.
    if (at > width - 24) break;
    const text = svg('text', { x: at, y: HEIGHT - 5, 'text-anchor': 'middle' });
    text.textContent =
      tickMs < DAY ? clock(atMs).slice(0, tickMs < MINUTE ? 8 : 5) : new Date(atMs).toDateString().slice(4, 10);
    labels.push(text);
  }
  return labels;
}

/** The next of 4, 8, 12, 20, 40, …: four lines of it are numbers one can read. */
function niceMost(value) {
  if (value <= 0) return 4;
  const power = 10 ** Math.floor(Math.log10(value));
  const fit = [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].find((step) => step * power >= value) * power;
  return Math.max(fit, 4);
}

/** Rates of one queue in the space of a word. @param samples - `{ atMs, completed, failed }`. */
export function spark(samples) {
  const [width, height] = [120, 22];
  const figure = svg('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
  const most = Math.max(1, ...samples.map(({ completed, failed }) => completed + failed));
  const step = width / SPARK_SAMPLES;
  const base = samples.map(() => height);
  for (const name of ['completed', 'failed']) {
    let bars = '';
    for (const [at, sample] of samples.entries()) {
      if (sample[name] === 0) continue;
      const [left, tall] = [width - (samples.length - at) * step, (sample[name] / most) * height];
      bars += `M${px(left)},${px(base[at])}h${px(step)}v${px(-tall)}h${px(-step)}Z`;
      base[at] -= tall;
    }
    figure.append(svg('path', { class: `area ${name}`, d: bars }));
  }
  return figure;
}
