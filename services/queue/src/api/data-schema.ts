/** The JSON Schema of a queue's data: compiled once, and asked for each job. */
import { LIMITS } from '@plinth/contracts/queue';
import { grouped, Problem } from '@plinth/problem';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';

/** A job may have a fault in each of a thousand members; nobody reads more than these. */
const ISSUES_MAX = 20;
/** Compiled schemas; the oldest is forgotten, and compiled again when it is asked for. About 20 kB each. */
const COMPILED_MAX = 500;

/** @param path - Of the data in the body, as a JSON Pointer. @throws Problem `schema_mismatch`. */
export type DataCheck = (data: unknown, path: string) => void;

export class DataSchemas {
  readonly #byText = new Map<string, DataCheck>();
  /** Definitions are read again each second, and are the same object until then. */
  readonly #byObject = new WeakMap<object, DataCheck>();

  /** @throws Problem `invalid_schema` when it is none that can be used. Cost: milliseconds, the first time. */
  checkOf(schema: unknown): DataCheck {
    if (typeof schema !== 'object' || schema === null) return this.#compiled(schema);
    const known = this.#byObject.get(schema);
    if (known !== undefined) return known;
    const check = this.#compiled(schema);
    this.#byObject.set(schema, check);
    return check;
  }

  #compiled(schema: unknown): DataCheck {
    const text = textOf(schema);
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const validate = compile(schema);
    const check: DataCheck = (data, path) => {
      if (!validate(data)) throw mismatch(validate.errors ?? [], path);
    };
    if (this.#byText.size >= COMPILED_MAX)
      for (const [oldest] of this.#byText) {
        this.#byText.delete(oldest);
        break;
      }
    this.#byText.set(text, check);
    return check;
  }
}

function textOf(schema: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(schema);
  } catch (cause) {
    throw new Problem('invalid_schema', 'the schema is nested too deep', { cause });
  }
  if (text.length <= LIMITS.schemaBytesMax) return text;
  const detail = `the schema has ${grouped(text.length)} characters; the most is ${grouped(LIMITS.schemaBytesMax)}`;
  throw new Problem('invalid_schema', detail);
}

/**
 * A compiler for each schema: one with an `$id` of another must not be taken for it. Strictness about unknown keywords
 * is off, since a schema may be written for more than one reader.
 */
function compile(schema: unknown): ValidateFunction {
  if (typeof schema === 'object' && schema !== null && '$async' in schema) {
    throw new Problem('invalid_schema', 'the schema has $async; data is checked at once');
  }
  try {
    const ajv = new Ajv({ allErrors: true, strict: false, logger: false, validateFormats: false });
    return ajv.compile(schema as object);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new Problem('invalid_schema', `the schema cannot be used: ${words.slice(0, 500)}`, { cause: error });
  }
}

function mismatch(errors: readonly ErrorObject[], path: string): Problem {
  const issues = errors.slice(0, ISSUES_MAX).map(({ instancePath, message = 'does not fit', params }) => {
    const { additionalProperty } = params as { additionalProperty?: string };
    const named = additionalProperty === undefined ? '' : `: ${JSON.stringify(additionalProperty)}`;
    return { path: path + instancePath, message: message + named };
  });
  const [first] = issues;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return new Problem('schema_mismatch', `${first?.path ?? path}: ${first?.message ?? 'does not fit'}${more}`, {
    issues,
  });
}
