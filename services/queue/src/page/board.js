/**
 * The way to bull-board. A browser sends no API key by itself when it follows a link, so the key of this page is changed
 * for a cookie that scripts cannot read and other sites cannot use; then the board is opened.
 */
import { el } from './dom.js';
import { ask } from './service.js';

/** Who was sent back so soon has a browser that keeps no cookies. */
const BACK_MS = 5_000;
const OPENED = 'plinth-board-opened';

export class BoardView {
  room = 'board';
  title = ['Board'];
  element = el('div.card', null, el('p', null, 'Opening bull-board…'));
  #wasSentBack;
  #isOpening = false;

  /** @param wasSentBack - The board wants a key first. */
  constructor(wasSentBack) {
    this.#wasSentBack = wasSentBack;
  }

  async refresh() {
    if (this.#isOpening) return;
    if (this.#wasSentBack && Date.now() - Number(sessionStorage.getItem(OPENED)) < BACK_MS) {
      this.element.replaceChildren(
        el('p', null, 'The board needs a cookie of this site, and the browser did not keep it.'),
      );
      return;
    }
    this.#isOpening = true;
    try {
      await ask('POST', '/board:session');
    } catch (error) {
      this.#isOpening = false;
      throw error;
    }
    sessionStorage.setItem(OPENED, String(Date.now()));
    // Back leads to where one was before.
    location.replace('/board/');
  }
}
