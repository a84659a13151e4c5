/**
 * Where a text stops being JSON. V8 says so only sometimes ("Unexpected token 'a', "abc" is not valid JSON"), in words
 * that change between versions and that quote the text. Runs only when `JSON.parse` has already refused the text.
 *
 * A flat scanner with its own stack: a body of a million `[` must not overflow ours.
 */

export interface JsonFault {
  message: string;
  /** Both count from 1; the column in characters. */
  line: number;
  column: number;
}

type Expected = 'value' | 'valueOrEnd' | 'name' | 'nameOrEnd' | 'colon' | 'commaOrEnd' | 'end';

const SPACE = /[ \t\n\r]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

const WANTED: Record<Expected, string> = {
  value: 'a value is wanted',
  valueOrEnd: 'a value or ] is wanted',
  name: 'a member name in double quotes is wanted',
  nameOrEnd: 'a member name in double quotes or } is wanted',
  colon: ': is wanted',
  commaOrEnd: 'a comma or the end of the list is wanted',
  end: 'nothing more is wanted',
};

/** The first place where `text` is not JSON. Cost: linear. */
export function jsonFault(text: string): JsonFault {
  const scan = new Scan(text);
  while (scan.step());
  const before = text.slice(0, scan.at);
  const line = before.split('\n').length;
  const message = scan.at >= text.length && scan.expected !== 'end' ? 'it ends too early' : WANTED[scan.expected];
  return { message, line, column: scan.at - before.lastIndexOf('\n') };
}

class Scan {
  at = 0;
  expected: Expected = 'value';
  readonly #text: string;
  readonly #open: ('[' | '{')[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  /** Goes one token on; false at the fault. */
  step(): boolean {
    this.#take(SPACE);
    switch (this.expected) {
      case 'name':
      case 'nameOrEnd':
        if (this.expected === 'nameOrEnd' && this.#close('}')) return true;
        return this.#string() && this.#expect('colon');
      case 'colon':
        return this.#takeChar(':') && this.#expect('value');
      case 'commaOrEnd':
        return this.#afterValue();
      case 'end':
        return false;
      default:
        if (this.expected === 'valueOrEnd' && this.#close(']')) return true;
        return this.#value();
    }
  }

  #value(): boolean {
    if (this.#takeChar('[')) return this.#enter('[', 'valueOrEnd');
    if (this.#takeChar('{')) return this.#enter('{', 'nameOrEnd');
    return (this.#string() || this.#take(SCALAR)) && this.#leaveValue();
  }

  /** Char by char: a pattern for the whole string would keep a way back for each char of it. */
  #string(): boolean {
    if (!this.#takeChar('"')) return false;
    for (;;) {
      if (this.#takeChar('"')) return true;
      if (this.#text[this.at] === '\\') {
        if (!this.#take(ESCAPE)) return false;
      } else if (!((this.#text.charCodeAt(this.at) || 0) >= 0x20)) return false;
      else this.at++;
    }
  }

  #afterValue(): boolean {
    const isArray = this.#open.at(-1) === '[';
    if (this.#takeChar(',')) return this.#expect(isArray ? 'value' : 'name');
    return this.#close(isArray ? ']' : '}');
  }

  #enter(bracket: '[' | '{', expected: Expected): boolean {
    this.#open.push(bracket);
    return this.#expect(expected);
  }

  #close(bracket: ']' | '}'): boolean {
    if (!this.#takeChar(bracket)) return false;
    this.#open.pop();
    return this.#leaveValue();
  }

  #leaveValue(): boolean {
    return this.#expect(this.#open.length === 0 ? 'end' : 'commaOrEnd');
  }

  #expect(expected: Expected): true {
    this.expected = expected;
    return true;
  }

  #takeChar(char: string): boolean {
    if (this.#text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  #take(token: RegExp): boolean {
    token.lastIndex = this.at;
    const found = token.exec(this.#text);
    if (found === null) return false;
    this.at += found[0].length;
    return true;
  }
}
