/** JSON bodies: media type, text, shape; each fault with its place. */
import { isUtf8 } from 'node:buffer';
import type { BodyContract, JsonText } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import { problemOfIssues, toIssues } from './input-issues.ts';
import { jsonFault } from './json-fault.ts';

type JsonContract = Extract<BodyContract, { kind: 'json' }>;

/**
 * Checks the media type of a JSON body. A body without one is taken for JSON, and so is one that says
 * `application/x-www-form-urlencoded`: that is what `curl -d '{…}'` sends unless told otherwise, and no operation takes
 * forms, so nothing else can be meant. The one thing this would open, a form on a foreign web page that posts JSON, is
 * shut by `origin-guard.ts`.
 *
 * @throws Problem `unsupported_media_type`, naming what is understood.
 */
export function checkJsonMediaType(contract: JsonContract, contentType: string | undefined): void {
  if (contentType === undefined || contentType === 'application/json') return;
  const mediaType = contentType.split(';', 1)[0]!.trim().toLowerCase();
  const understood = ['application/json', ...(contract.mediaTypes ?? [])];
  if (understood.includes(mediaType) || mediaType === 'application/x-www-form-urlencoded') return;
  const detail = `the body is ${mediaType || 'of no media type'}; understood is ${understood.join(', ')}`;
  throw new Problem('unsupported_media_type', detail);
}

/**
 * Reads a JSON body by its schema. No body at all is read as undefined, if the schema has a default for it.
 *
 * @throws Problem `invalid_request`: where the text is no JSON, or an issue per fault with a JSON Pointer.
 */
export function readJson(contract: JsonContract, bytes: Buffer): unknown {
  const text = textOf(bytes);
  const value = text === '' ? nothing(contract) : parse(text);
  if (contract.isCheckedByHandler) return contract.keepsText ? ({ text, value } satisfies JsonText) : value;
  const parsed = contract.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw problemOfIssues('the body', toIssues('', parsed.error.issues));
}

function nothing(contract: JsonContract): undefined {
  if (contract.schema._zod.optin === undefined) throw new Problem('invalid_request', 'a JSON body is wanted here');
  return undefined;
}

function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new Problem('invalid_request', 'the body is not UTF-8');
  return bytes.toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const { line, column, message } = jsonFault(text);
    const detail = `the body is not JSON: ${message} at line ${line}, column ${column}`;
    throw new Problem('invalid_request', detail, { members: { line, column } });
  }
}
