/** What a simulation came to, for people: a sentence, a chart over time, rules, examples. */
import { TimeChart } from './chart.js';
import { clock, descriptorText, duration, el, fill, number, ruleName } from './dom.js';

/** @param place - Where it is shown. @param outcome - What `simulate` and `dry-run` answer. */
export function showOutcome(place, outcome) {
  const chart = el('div');
  const { requests, timeline } = outcome;
  place.replaceChildren(
    el('div.card', null, ...sentences(outcome), requests.denied + requests.allowed > 0 && chart),
    rulesCard(outcome),
    ...exampleCards(outcome),
  );
  if (timeline.buckets.length > 0) drawTimeline(chart, outcome);
}

function drawTimeline(place, { timeline: { bucketMs, buckets }, requests }) {
  const lines = [];
  if (requests.presentDenied !== undefined) {
    lines.push({ name: 'denied by the present rules', kind: 'present', of: (bucket) => bucket.presentDenied });
  }
  if (requests.reallyDenied !== undefined) {
    lines.push({ name: 'really denied', kind: 'real', of: (bucket) => bucket.reallyDenied });
  }
  // Denied below, so that the lines of denials beside it can be compared with its edge.
  const areas = [
    { name: 'denied', kind: 'denied', of: (bucket) => bucket.denied },
    { name: 'allowed', kind: 'allowed', of: (bucket) => bucket.allowed },
  ];
  const chart = new TimeChart(place, { label: `Requests in each ${duration(bucketMs)}`, areas, lines, sums: true });
  const fromMs = buckets[0].atMs;
  chart.show(buckets, { fromMs, untilMs: buckets.at(-1).atMs + bucketMs, stepMs: bucketMs });
}

const WHOSE = { recorded: 'the last', given: 'the given', synthetic: 'the described' };

function sentences({ traffic, requests, difference, notSimulated, timeline }) {
  const { source, requests: all, fromMs, untilMs } = traffic;
  if (all === 0) return [el('p', null, 'Nothing has been recorded yet: let some traffic come first.')];
  const share = ` (${Math.round((requests.denied / all) * 1_000) / 10} %)`;
  const said = [
    el(
      'p.sentence',
      null,
      `Of ${WHOSE[source]} `,
      strong(all),
      ` requests (${duration(untilMs - fromMs)}) these rules `,
    ),
  ];
  said[0].append('deny ', strong(requests.denied), share, '.');
  const { present, real } = difference;
  if (present !== undefined) said.push(comparison('The present rules deny', requests.presentDenied, present));
  if (real !== undefined) said.push(comparison('Really denied were', requests.reallyDenied, real));
  if (requests.unmatched > 0) {
    said.push(el('p.sentence.hint', null, `${number(requests.unmatched)} requests meet no rule at all.`));
  }
  if (notSimulated.length > 0) {
    const names = notSimulated.join(', ');
    said.push(el('p.sentence.hint', null, `Not simulated, since how long work takes is not recorded: ${names}.`));
  }
  said.push(el('p.hint', null, `Requests in each ${duration(timeline.bucketMs)}; all rules begin with nothing taken.`));
  return said;
}

const strong = (value) => el('strong', null, number(value));

function comparison(words, denied, { newlyDenied, newlyAllowed }) {
  const same = newlyDenied + newlyAllowed === 0;
  const change = same
    ? [': the very same requests.']
    : [': ', strong(newlyDenied), ' would be newly denied, ', strong(newlyAllowed), ' newly allowed.'];
  return el('p.sentence', null, `${words} `, strong(denied), ...change);
}

function rulesCard({ rules }) {
  const hasPresent = rules.some(({ present }) => present !== undefined);
  const hasReal = rules.some(({ reallyDenied }) => reallyDenied !== undefined);
  const heads = ['allowed', 'denied', 'shadow'];
  if (hasPresent) heads.push('present rules deny', 'change');
  if (hasReal) heads.push('really denied');
  const table = tableOf(['Rule', ...heads]);
  const rows = rules.map(({ domain, rule, allowed, denied, shadowDenied, present, reallyDenied }) => {
    const numbers = [allowed, denied, shadowDenied].map(number);
    if (hasPresent) numbers.push(number(present.denied), signed(denied - present.denied));
    if (hasReal) numbers.push(number(reallyDenied));
    const cells = numbers.map((text) => el('td.number', null, text));
    return el('tr', null, el('td.key', null, ...ruleName(domain, rule)), ...cells);
  });
  fill(table, rows, 'No rule was met.');
  return cardOf('By rule', table);
}

const signed = (value) => (value > 0 ? `+${number(value)}` : value < 0 ? `−${number(-value)}` : '0');

function exampleCards({ examples, requests }) {
  const compares = requests.presentDenied !== undefined;
  if (compares && examples.changed.length > 0) {
    return [cardOf('The first that would be decided otherwise', exampleTable(examples.changed))];
  }
  if (examples.denied.length === 0) return [];
  return [cardOf('The first that are denied', exampleTable(examples.denied))];
}

function exampleTable(examples) {
  const table = tableOf(['Time', 'Request', 'Verdict', 'Denied by', 'Retry after']);
  const rows = examples.map(({ atMs, domain, descriptors, allowed, presentAllowed, rules, retryAfterMs }) => {
    const change = presentAllowed === undefined || presentAllowed === allowed ? '' : ` (was ${word(presentAllowed)})`;
    return el(
      'tr',
      null,
      el('td.time', null, clock(atMs)),
      el('td.key.mono', null, `${domain}: ${descriptors.map(descriptorText).join('; ')}`),
      el(allowed ? 'td' : 'td.denies', null, `${word(allowed)}${change}`),
      el('td.key', null, rules.join(', ')),
      el('td.number', null, allowed ? '' : duration(retryAfterMs)),
    );
  });
  fill(table, rows, 'None.');
  return table;
}

const word = (isAllowed) => (isAllowed ? 'allowed' : 'denied');

function tableOf(heads) {
  const cells = heads.map((head, at) => {
    const isText = at === 0 || ['Request', 'Verdict', 'Denied by'].includes(head);
    return el(isText ? 'th' : 'th.number', { scope: 'col' }, head);
  });
  return el('table', null, el('thead', null, el('tr', null, ...cells)), el('tbody'));
}

function cardOf(title, table) {
  return el('div.card', null, el('div.head', null, el('h3', null, title)), scroll(title, table));
}

const scroll = (title, table) => el('section.scroll', { 'aria-label': title }, table);
