/** The simulator's form. */
import { byId, readDescriptors } from './dom.js';
import { showFaults } from './editor.js';
import { showOutcome } from './outcome.js';
import { ask } from './service.js';

export class SimulateView {
  #form = byId('simulate-form');
  #draft;

  /** @param draft - What stands in the rule editor. */
  constructor(draft) {
    this.#draft = draft;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#run();
    });
    this.#form.addEventListener('change', () => this.#showState());
    this.#showState();
  }

  #showState() {
    const { source, pattern, burstSize } = this.#form.elements;
    byId('simulate-described').hidden = source.value !== 'described';
    // What is hidden must not be asked for.
    for (const field of byId('simulate-described').querySelectorAll('input, textarea, select')) {
      field.disabled = source.value !== 'described';
    }
    burstSize.disabled ||= pattern.value !== 'bursts';
  }

  async #run() {
    const said = byId('simulate-said');
    const button = this.#form.querySelector('button');
    said.textContent = 'Working…';
    button.disabled = true;
    showFaults(byId('simulate-faults'), [], () => {});
    try {
      const usesDraft = this.#form.elements.rules.value === 'draft';
      const body = { traffic: this.#traffic(), ...(usesDraft && { rules: this.#draft() }) };
      showOutcome(byId('simulate-result'), await ask('POST', '/v1/limits/simulate', { json: body }));
      said.textContent = 'The outcome is below.';
    } catch (error) {
      said.textContent = error.message;
      const toEditor = () => {
        location.hash = '#rules';
      };
      showFaults(byId('simulate-faults'), error.faults ?? [], toEditor);
    }
    button.disabled = false;
  }

  #traffic() {
    const { elements } = this.#form;
    if (elements.source.value === 'recorded') return 'recorded';
    const numberOf = (name) => Number(elements[name].value);
    return {
      domain: elements.domain.value,
      descriptors: readDescriptors(elements.descriptors.value),
      cost: numberOf('cost'),
      ratePerSecond: numberOf('ratePerSecond'),
      durationMs: Math.round(numberOf('durationS') * 1_000),
      pattern: elements.pattern.value,
      burstSize: numberOf('burstSize'),
      keys: numberOf('keys'),
      distribution: elements.distribution.value,
      seed: numberOf('seed'),
    };
  }
}
