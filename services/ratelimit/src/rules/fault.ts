/** What is wrong with a document of rules, and where. */

/** One fault, at a place a person can go to. */
export class RuleFault {
  /** The file, or the key of the store: `limits/api.yaml`, `kv:api`. */
  readonly source: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** A JSON Pointer into the document: `/rules/3/limit`. Empty: the document as a whole. */
  readonly path: string;
  readonly message: string;

  constructor(fault: { source: string; line: number; column: number; path: string; message: string }) {
    this.source = fault.source;
    this.line = fault.line;
    this.column = fault.column;
    this.path = fault.path;
    this.message = fault.message;
  }

  /** `limits/api.yaml:12:5: limit is -1; …` */
  toString(): string {
    return `${this.source}:${this.line}:${this.column}: ${this.message}`;
  }
}

/** A document is refused as a whole, with all that is wrong with it. */
export class RulesRefused extends Error {
  override name = 'RulesRefused';
  /** In the order of the document; never empty. */
  readonly faults: readonly RuleFault[];

  constructor(faults: readonly RuleFault[]) {
    const more = faults.length === 1 ? '' : ` (and ${faults.length - 1} more)`;
    super(`${faults[0]}${more}`);
    this.faults = faults;
  }
}
