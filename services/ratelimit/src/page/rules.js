/** The rule view: read, change, dry run, save, remove. */
import { byId, el } from './dom.js';
import { Editor } from './editor.js';
import { showOutcome } from './outcome.js';
import { ask, Refusal, request } from './service.js';

const addressOf = (domain) => `/v1/rules/${domain.split('/').map(encodeURIComponent).join('/')}`;

const EXAMPLE = (domain) => `domain: ${/^[\w.-]+$/.test(domain) ? domain : JSON.stringify(domain)}
rules:
  - match: { user: "*" }
    limit: 100
    window: 1m
`;

export class RulesView {
  #editor = new Editor(() => this.#edited());
  #domains = [];
  #domain = '';
  /** As the service has it; undefined when it has none. */
  #saved;
  #etag;
  #isBusy = false;

  constructor() {
    byId('rules-domain').addEventListener('change', ({ target }) => this.#open(target.value));
    byId('rules-new').addEventListener('submit', (event) => this.#begin(event));
    byId('rules-dry-run').addEventListener('click', () => this.#do('Working…', () => this.#dryRun()));
    byId('rules-save').addEventListener('click', () => this.#do('Saving…', () => this.#save()));
    byId('rules-revert').addEventListener('click', () => this.#revert());
    byId('rules-remove').addEventListener('click', () => this.#askToRemove());
    byId('remove-dialog').addEventListener('close', ({ target }) => {
      if (target.returnValue === 'remove') this.#do('Removing…', () => this.#remove());
    });
    addEventListener('beforeunload', (event) => {
      if (this.#isChanged) event.preventDefault();
    });
  }

  /** What stands in the editor. */
  get draft() {
    return this.#editor.value;
  }

  get #isChanged() {
    return this.#domain !== '' && this.#editor.value !== (this.#saved ?? '');
  }

  /** Asks for the domains anew; what is being written stays. */
  async refresh() {
    try {
      const { domains } = await ask('GET', '/v1/rules');
      this.#domains = domains;
      const isKnown = domains.some(({ domain }) => domain === this.#domain);
      if (this.#domain === '' && domains.length > 0) await this.#open(domains[0].domain);
      else if (isKnown && !this.#isChanged) await this.#open(this.#domain);
      else this.#offerDomains();
    } catch (error) {
      this.#say(error.message);
    }
    this.#showState();
  }

  /** The rules have changed somewhere. */
  async changed() {
    const before = this.#etag;
    if (this.#isBusy) return;
    await this.refresh();
    if (!this.#isChanged || before === undefined) return;
    const now = await request('GET', addressOf(this.#domain)).catch(() => undefined);
    if (now !== undefined && now.headers.get('etag') !== before) {
      this.#say('Somebody else has changed these rules meanwhile: saving will be refused.');
    }
  }

  #offerDomains() {
    const names = new Set(this.#domains.map(({ domain }) => domain));
    if (this.#domain !== '') names.add(this.#domain);
    const options = [...names].sort().map((domain) => el('option', { value: domain }, domain));
    byId('rules-domain').replaceChildren(...options);
    byId('rules-domain').value = this.#domain;
  }

  async #open(domain) {
    if (domain !== this.#domain && this.#isChanged && !confirm('Discard your changes?')) return this.#offerDomains();
    const isOther = domain !== this.#domain;
    const before = this.#editor.value;
    try {
      const response = await request('GET', addressOf(domain));
      const text = await response.text();
      // Somebody has begun to write meanwhile: that is worth more.
      if (this.#editor.value !== before) return;
      this.#saved = text;
      this.#etag = response.headers.get('etag') ?? undefined;
      this.#domain = domain;
      if (before !== text) this.#editor.value = text;
      if (isOther) this.#say('');
      if (isOther) byId('rules-result').replaceChildren();
    } catch (error) {
      this.#say(error.message);
    }
    this.#offerDomains();
    this.#showState();
  }

  #begin(event) {
    event.preventDefault();
    const field = byId('rules-new-domain');
    const domain = field.value.trim();
    if (domain === '') return;
    if (this.#domains.some((known) => known.domain === domain)) this.#open(domain);
    else if (!this.#isChanged || confirm('Discard your changes?')) {
      this.#domain = domain;
      this.#saved = undefined;
      this.#etag = undefined;
      this.#editor.value = EXAMPLE(domain);
      this.#offerDomains();
      this.#say('Not saved yet.');
      this.#editor.focus();
    }
    field.value = '';
    this.#showState();
  }

  #revert() {
    this.#editor.value = this.#saved ?? '';
    if (this.#saved === undefined) this.#domain = '';
    this.#say('');
    this.refresh();
  }

  async #dryRun() {
    const body = { domain: this.#domain, rules: this.#editor.value };
    const outcome = await ask('POST', '/v1/rules/dry-run', { json: body });
    this.#editor.showFaults([]);
    showOutcome(byId('rules-result'), outcome);
    byId('rules-result').classList.remove('stale');
    this.#say('The difference is below.');
  }

  async #save() {
    const text = this.#editor.value;
    const condition = this.#etag === undefined ? { 'if-none-match': '*' } : { 'if-match': this.#etag };
    const response = await request('PUT', addressOf(this.#domain), { text, headers: condition });
    this.#saved = text;
    this.#etag = response.headers.get('etag') ?? undefined;
    this.#editor.showFaults([]);
    this.#say('Saved, and in force.');
  }

  #askToRemove() {
    byId('remove-domain').textContent = this.#domain;
    byId('remove-dialog').returnValue = '';
    byId('remove-dialog').showModal();
  }

  async #remove() {
    const condition = this.#etag === undefined ? {} : { 'if-match': this.#etag };
    await request('DELETE', addressOf(this.#domain), { headers: condition });
    this.#editor.value = '';
    this.#domain = '';
    this.#saved = undefined;
    await this.refresh();
    this.#say('Removed.');
  }

  /** One thing at a time; what goes wrong is said, faults at their lines. */
  async #do(words, work) {
    this.#isBusy = true;
    this.#say(words);
    this.#showState();
    try {
      await work();
    } catch (error) {
      this.#explain(error);
    }
    this.#isBusy = false;
    this.#showState();
  }

  #explain(error) {
    if (error instanceof Refusal && error.code === 'invalid_rules') {
      const faults = error.faults.length > 0 ? error.faults : [{ message: error.message }];
      this.#editor.showFaults(faults);
      return this.#say(faults.length === 1 ? 'There is a fault.' : `There are ${faults.length} faults.`);
    }
    if (error instanceof Refusal && error.status === 412) {
      return this.#say('Not saved: somebody else has changed these rules. Copy your text, and discard your changes.');
    }
    this.#say(error.message);
  }

  #edited() {
    // What stands below was said of another text.
    byId('rules-result').classList.add('stale');
    this.#say('');
    this.#showState();
  }

  #say(words) {
    byId('rules-said').textContent = words;
  }

  #showState() {
    const hasDomain = this.#domain !== '';
    const isIdle = hasDomain && !this.#isBusy;
    this.#editor.isDisabled = !hasDomain;
    byId('rules-dry-run').disabled = !isIdle;
    byId('rules-save').disabled = !isIdle || !this.#isChanged;
    byId('rules-revert').disabled = !isIdle || !this.#isChanged;
    byId('rules-remove').disabled = !isIdle || this.#etag === undefined;
    const source = this.#domains.find(({ domain }) => domain === this.#domain)?.source;
    byId('rules-source').textContent = source === undefined ? '' : `from ${source}`;
  }
}
