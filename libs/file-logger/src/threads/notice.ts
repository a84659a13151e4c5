/** What the log says itself, in its own form, about lines that are not in it. */
import { hostname } from 'node:os';

export interface NoticeOptions {
  /** Default `msg`. */
  messageKey?: string;
}

/** Makes such lines, at the level of a warning. */
export class Notices {
  readonly #head: string;
  readonly #messageKey: string;

  constructor({ messageKey = 'msg' }: NoticeOptions = {}) {
    this.#head = `,"pid":${process.pid},"hostname":${JSON.stringify(hostname())},`;
    this.#messageKey = JSON.stringify(messageKey);
  }

  dropped(lines: number, reason: string): string {
    return this.#line(`${lines} ${lines === 1 ? 'line was' : 'lines were'} dropped`, reason);
  }

  tooLong(lineBytes: number, lineBytesMax: number): string {
    return this.#line(`a line of ${lineBytes} bytes was dropped: the most is ${lineBytesMax}`, 'tooLong');
  }

  #line(message: string, reason: string): string {
    const text = `${this.#messageKey}:${JSON.stringify(message)},"reason":${JSON.stringify(reason)}`;
    return `{"level":40,"time":${Date.now()}${this.#head}${text}}\n`;
  }
}
