/** A text with line numbers and marked faults. The text itself is a plain textarea: what browsers do well stays theirs. */
import { byId, el } from './dom.js';

export class Editor {
  #text = byId('rules-text');
  #lines = byId('rules-lines');
  #faults = byId('rules-faults');
  /** Lines with a fault, from 1. */
  #wrong = new Set();

  /** @param onInput - Called after each change by hand. */
  constructor(onInput) {
    this.#text.addEventListener('input', () => {
      this.#number();
      onInput();
    });
    this.#text.addEventListener('scroll', () => {
      this.#lines.scrollTop = this.#text.scrollTop;
    });
    this.#text.addEventListener('keydown', (event) => this.#indent(event, onInput));
  }

  get value() {
    return this.#text.value;
  }

  set value(value) {
    this.#text.value = value;
    this.showFaults([]);
  }

  set isDisabled(isDisabled) {
    this.#text.disabled = isDisabled;
  }

  focus() {
    this.#text.focus();
  }

  /** @param faults - `{ line, column, message }`, from 1. */
  showFaults(faults) {
    showFaults(this.#faults, faults, (fault) => this.#goTo(fault));
    this.#wrong = new Set(faults.map(({ line }) => line));
    this.#number();
  }

  #number() {
    const count = this.#text.value.split('\n').length;
    const numbers = Array.from({ length: count }, (_, at) =>
      el(this.#wrong.has(at + 1) ? 'span.wrong' : 'span', null, String(at + 1)),
    );
    this.#lines.replaceChildren(...numbers);
    this.#lines.scrollTop = this.#text.scrollTop;
  }

  #goTo({ line, column = 1 }) {
    const before = this.#text.value.split('\n').slice(0, line - 1);
    const at = before.reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
    this.#text.focus();
    this.#text.setSelectionRange(at, at);
    const lineHeight = this.#lines.scrollHeight / Math.max(1, this.#lines.children.length);
    this.#text.scrollTop = Math.max(0, (line - 4) * lineHeight);
  }

  /** Enter keeps the indent, which means something in YAML. Tab is left alone: it is the way out of the field. */
  #indent(event, onInput) {
    if (event.key !== 'Enter' || event.isComposing || event.ctrlKey || event.metaKey) return;
    const { selectionStart, value } = this.#text;
    const line = value.slice(value.lastIndexOf('\n', selectionStart - 1) + 1, selectionStart);
    event.preventDefault();
    this.#text.setRangeText(`\n${/^[ ]*/.exec(line)[0]}`, selectionStart, this.#text.selectionEnd, 'end');
    this.#number();
    onInput();
  }
}

/** Faults as a list of buttons that lead to their place. */
export function showFaults(list, faults, goTo) {
  const items = faults.map((fault) => {
    const place = fault.line === undefined ? (fault.path ?? '') : `Line ${fault.line}, column ${fault.column ?? 1}`;
    const text = place === '' ? fault.message : `${place}: ${fault.message}`;
    return el('li', null, el('button', { type: 'button', onclick: () => goTo(fault) }, text));
  });
  list.replaceChildren(...items);
}
