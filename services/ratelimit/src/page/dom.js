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

/** Shows rows, or in one cell why there is none. */
export function fill(table, rows, none) {
  const body = table.tBodies[0];
  const columns = table.tHead.rows[0].cells.length;
  body.replaceChildren(...(rows.length > 0 ? rows : [el('tr', null, el('td.none', { colSpan: columns }, none))]));
}

const whole = new Intl.NumberFormat('en');
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const number = (value) => whole.format(value);
export const rate = (value) => (value < 100 ? oneDigit : whole).format(value);

export const clock = (atMs) => new Date(atMs).toLocaleTimeString('en', { hourCycle: 'h23' });

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** `300 ms`, `45.5 s`, `12 min`, `1 h`: short, for people. null is never. */
export function duration(ms) {
  if (ms === null || ms === undefined) return 'never';
  if (ms < 1_000) return `${Math.ceil(ms)} ms`;
  // Two of the larger unit at least, or a whole number of it: 90 s, 1 h, 2.5 h.
  const [name, unitMs] = UNITS.find(([, each]) => ms >= 2 * each || (ms >= each && ms % each === 0)) ?? UNITS.at(-1);
  return `${oneDigit.format(ms / unitMs)} ${name}`;
}

/** A rule with its domain, the latter quiet. */
export function ruleName(domain, rule) {
  return [domain === '' ? '' : el('span.domain', null, `${domain} / `), rule];
}

/** `user=ann, path=/login` */
export const descriptorText = (entries) => entries.map(({ key, value }) => `${key}=${value}`).join(', ');

/**
 * Lines of `user=ann, path=/login` as descriptors. A value may hold `=`; one with a comma is written in quotes.
 *
 * @throws Error that names the line.
 */
export function readDescriptors(text) {
  const lines = text.split('\n').map((line) => line.trim());
  const descriptors = lines.flatMap((line, at) => (line === '' ? [] : [{ entries: entriesOf(line, at + 1) }]));
  if (descriptors.length === 0) throw new Error('There is no descriptor: write one as user=alice');
  return descriptors;
}

function entriesOf(line, lineNumber) {
  const parts = line.match(/(?:[^,"]|"[^"]*")+/g) ?? [];
  return parts.map((part) => {
    const [, key, quoted, plain] = /^\s*([^=\s]+)\s*=\s*(?:"([^"]*)"|(.*?))\s*$/.exec(part) ?? [];
    if (key === undefined) throw new Error(`Line ${lineNumber}: ${JSON.stringify(part.trim())} is not key=value`);
    return { key, value: quoted ?? plain };
  });
}
