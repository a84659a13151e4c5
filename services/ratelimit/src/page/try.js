/** One check by hand, with its verdict in words and the way through the rules. */
import { byId, descriptorText, duration, el, number, readDescriptors } from './dom.js';
import { ask } from './service.js';

export class TryView {
  #form = byId('try-form');

  constructor() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#run(event.submitter?.value ?? 'peek');
    });
  }

  async #run(verb) {
    const said = byId('try-said');
    said.textContent = '';
    try {
      const { domain, cost, descriptors } = this.#form.elements;
      const json = { domain: domain.value, cost: Number(cost.value), descriptors: readDescriptors(descriptors.value) };
      // Explained first, so that it tells of the moment before the check took something.
      const explained = await ask('POST', '/v1/limits/explain', { json }).catch(() => undefined);
      const verdict = await ask('POST', `/v1/limits/${verb}`, { json });
      byId('try-result').replaceChildren(...verdictParts(verdict, json, verb, explained));
    } catch (error) {
      said.textContent = error.message;
    }
  }
}

function verdictParts(verdict, { descriptors, cost }, verb, explained) {
  const { allowed, limits, retryAfterMs, delayMs, degraded } = verdict;
  const would = verb === 'peek';
  const word = would ? (allowed ? 'Would be allowed' : 'Would be denied') : allowed ? 'Allowed' : 'Denied';
  const parts = [el(`p.verdict.${allowed ? 'yes' : 'no'}`, null, word)];
  if (!allowed) {
    const never = `Never: it costs ${number(cost)}, more than the limit ever holds.`;
    parts.push(el('p.sentence', null, retryAfterMs === null ? never : `Again in ${duration(retryAfterMs)}.`));
  }
  if (delayMs !== undefined) parts.push(el('p.sentence', null, `Its turn comes in ${duration(delayMs)}.`));
  if (degraded !== undefined) {
    parts.push(el('p.sentence', null, `The backend is away; decided without it (${degraded}).`));
  }
  if (limits.length === 0) {
    const which = descriptors.map(({ entries }) => descriptorText(entries)).join('; ');
    parts.push(el('p.sentence', null, `No rule is for ${which}, so nothing limits it.`));
  }
  parts.push(...limits.map(limitPart));
  parts.push(...(explained?.descriptors ?? []).map((way, at) => wayPart(way, descriptors[at].entries)));
  parts.push(rawPart('The answer as it came', verdict));
  return parts;
}

function limitPart(limit) {
  const { name, allowed, because, shadow, remaining, resetMs, retryAfterMs } = limit;
  const facts = [];
  if (because === 'allow-list') facts.push('its list lets this one pass');
  else if (because === 'deny-list') facts.push('its list denies this one, always');
  else if (because === 'blocked') facts.push('blocked, whatever is left');
  else if (limit.limit === undefined) facts.push('unlimited');
  if (limit.limit !== undefined) facts.push(policyWords(limit));
  if (remaining !== undefined) facts.push(`${number(remaining)} left`);
  if (resetMs > 0) facts.push(`as good as new in ${duration(resetMs)}`);
  if (!allowed && typeof retryAfterMs === 'number') facts.push(`enough in ${duration(retryAfterMs)}`);
  return el(
    'p.sentence',
    null,
    el('strong', null, name),
    allowed ? ' allows: ' : ' denies: ',
    facts.join(', '),
    shadow ? [' ', el('span.tag', null, 'shadow')] : '',
  );
}

/** Which branches of the rules were tried for one descriptor, and what came of each. */
function wayPart({ tried, met }, entries) {
  const leads = met === undefined || met === null ? 'leads to no rule' : `leads to ${met.name}, ${met.source}`;
  const steps = (tried ?? []).map(({ branch, outcome }) => el('li', null, el('code', null, branch), ` ${outcome}`));
  return el(
    'details',
    null,
    el('summary', null, el('code', null, descriptorText(entries)), ` ${leads}`),
    el('ol.trials', null, ...steps),
  );
}

function policyWords({ limit, windowMs, algorithm }) {
  const isOfPlaces = algorithm === 'concurrency' || algorithm === 'adaptive';
  const per = isOfPlaces ? ' at once' : ` in ${duration(windowMs)}`;
  return `${number(limit)}${per} (${algorithm})`;
}

function rawPart(title, value) {
  return el('details', null, el('summary', null, title), el('pre', null, JSON.stringify(value, null, 2)));
}
