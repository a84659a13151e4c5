/** One dialog for whatever is asked before something is done. */
import { byId, el } from './dom.js';

/**
 * Asks, and waits.
 *
 * @param {{ title: string, text: string, fields?: object[], action: string, isDanger?: boolean }} question - Fields:
 *   `{ name, label, … }` with properties of an input, or with `options`, pairs of value and text.
 * @returns What was given, by name, empty ones left out; undefined: nothing is to be done.
 */
export function askFor({ title, text, fields = [], action, isDanger = false }) {
  const dialog = byId('ask-dialog');
  const form = dialog.querySelector('form');
  // Nothing is sent by it: the page does what is asked.
  const cancel = el('button', { type: 'button', onclick: () => dialog.close('') }, 'Cancel');
  const confirm = el(isDanger ? 'button.danger' : 'button.main', { type: 'submit', value: 'do' }, action);
  form.replaceChildren(
    el('h3', { id: 'ask-title' }, title),
    el('p', null, text),
    ...fields.map(fieldOf),
    el('div.row.actions', null, cancel, confirm),
  );
  return new Promise((resolve) => {
    dialog.addEventListener(
      'close',
      () => {
        const given = [...new FormData(form)].map(([name, value]) => [name, value.trim()]);
        resolve(
          dialog.returnValue === 'do' ? Object.fromEntries(given.filter(([, value]) => value !== '')) : undefined,
        );
      },
      { once: true },
    );
    dialog.returnValue = '';
    dialog.showModal();
  });
}

export function fieldOf({ label, options, hint, ...input }) {
  const control =
    options === undefined
      ? el('input', { autocomplete: 'off', spellcheck: false, ...input })
      : el(
          'select',
          { name: input.name },
          options.map(([value, text]) => el('option', { value, selected: value === input.value }, text)),
        );
  return el('label', null, label, control, hint ? el('span.hint', null, hint) : '');
}
