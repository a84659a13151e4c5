/** Making elements. Whatever comes from outside becomes text, never markup. */

/**
 * @param {string} tag - `td.number` has a class.
 * @param {Record<string, unknown> | null} [properties] - `on…` are listeners, `aria-…`, `data-…` and `colspan` attributes.
 */
export function el(tag, properties, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElement(name);
  if (classes.length > 0) element.className = classes.join(' ');
  for (const [property, value] of Object.entries(properties ?? {})) {
    if (property.startsWith('on')) element.addEventListener(property.slice(2), value);
    else if (property in element) element[property] = value;
    else element.setAttribute(property, value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

/** What somebody's keyboard is at, in words that hold when all is drawn anew. */
const nameOf = (element) => element.getAttribute('href') ?? element.getAttribute('data-name');

/** Draws anew, and leaves the focus where it was. */
export function redraw(place, ...children) {
  const focused = place.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  place.replaceChildren(...children.flat());
  if (focused === null) return;
  [...place.querySelectorAll('[href], [data-name]')].find((element) => nameOf(element) === focused)?.focus();
}

/** Shows rows, or in one cell why there is none. */
export function fill(table, rows, none) {
  const columns = table.tHead.rows[0].cells.length;
  redraw(table.tBodies[0], rows.length > 0 ? rows : [el('tr', null, el('td.none', { colSpan: columns }, none))]);
}

/** A table with its heads; those that begin with `#` are of numbers. */
export function tableOf(heads) {
  const cells = heads.map((head) => {
    const isNumber = head.startsWith('#');
    return el(isNumber ? 'th.number' : 'th', { scope: 'col' }, isNumber ? head.slice(1) : head);
  });
  return el('table', null, el('thead', null, el('tr', null, cells)), el('tbody'));
}

/** A card with a title; what is wider than the window scrolls inside it. */
export function card(title, table, ...beside) {
  const head = el('div.head', null, el('h3', null, title), beside);
  // It can be scrolled by keyboard too.
  return el('section.card', { 'aria-label': title }, head, el('div.scroll', { tabIndex: 0, role: 'group' }, table));
}

/** Figures with their names. */
export const tiles = (all) =>
  all.map(([name, value, hint, kind]) =>
    el(
      'div',
      null,
      el('dt', null, name),
      el(kind ? `dd.${kind}` : 'dd', null, value, hint ? el('small', null, ` ${hint}`) : ''),
    ),
  );

/** Names and values in two columns. */
export const facts = (pairs) =>
  el(
    'dl.facts',
    null,
    pairs
      .filter(([, value]) => value !== undefined && value !== '' && value !== null)
      .map(([name, value]) => el('div', null, el('dt', null, name), el('dd', null, value))),
  );

export const button = (text, onclick, kind = '') =>
  el(kind === '' ? 'button' : `button.${kind}`, { type: 'button', onclick, 'data-name': text }, text);

const whole = new Intl.NumberFormat('en');
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const number = (value) => whole.format(value);
export const rate = (value) => (value < 100 ? oneDigit : whole).format(value);

export const clock = (atMs) => new Date(atMs).toLocaleTimeString('en', { hourCycle: 'h23' });

/** The time of today, else the day too: for people, in their zone. */
export function moment(atMs, nowMs = Date.now()) {
  const at = new Date(atMs);
  const isToday = at.toDateString() === new Date(nowMs).toDateString();
  const day = isToday ? '' : `${at.toLocaleDateString('en', { month: 'short', day: 'numeric', year: 'numeric' })} `;
  return el('time', { dateTime: at.toISOString(), title: at.toISOString() }, day + clock(atMs));
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** `300 ms`, `45.5 s`, `12 min`, `1 h`: short, for people. */
export function duration(ms) {
  if (ms < 1_000) return `${Math.ceil(ms)} ms`;
  // Two of the larger unit at least, or a whole number of it: 90 s, 1 h, 2.5 h.
  const [name, unitMs] = UNITS.find(([, each]) => ms >= 2 * each || (ms >= each && ms % each === 0)) ?? UNITS.at(-1);
  return `${oneDigit.format(ms / unitMs)} ${name}`;
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function size(bytes) {
  const step = bytes < 1 ? 0 : Math.min(BYTES.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${oneDigit.format(bytes / 1_024 ** step)} ${BYTES[step]}`;
}

const PARTS = (parts) => parts.map(encodeURIComponent).join('/');

/** The address of a view: `#/queue/mails/job/7`. */
export function addressOf(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  return `#/${PARTS(parts)}${given.length === 0 ? '' : `?${new URLSearchParams(given)}`}`;
}

/** A link to a view. */
export const link = (text, parts, query) => el('a', { href: addressOf(parts, query) }, text);
