/**
 * What a message asks of an operation: parameters, query and body, checked as they are over HTTP. The two ways to
 * write a request are in the head note of `@plinth/contracts`' operation.ts.
 */
import type { Call, JsonText, Operation } from '@plinth/contracts';
import { bytesOfText, percentDecode } from '@plinth/contracts/byte-string';
import { nearestName, Problem } from '@plinth/problem';
import { ownedBytes, PARAMS } from './wire-headers.ts';

type Members = Record<string, unknown>;

/** A request split into what its names are and what is left. */
interface Parts {
  named: Members;
  /** The payload; or the members of a handwritten request that are neither in path nor query. */
  body: { bytes: Uint8Array } | { members: Members };
}

interface Received {
  /** Names lower case. */
  headers: Readonly<Record<string, string>>;
  payload: Uint8Array;
}

/** What follows from the operation alone. */
interface Plan {
  operation: Operation;
  pathNames: readonly string[];
  /** Of path and query together. */
  names: ReadonlySet<string>;
}

const PATH_PARAMETER = /\{\+?(\w+)\}/g;
/** A body of a thousand operations may have a fault in each; nobody reads more than these. */
const ISSUES_MAX = 20;

/**
 * Makes the reader of an operation's requests.
 *
 * @returns A function that throws Problem `invalid_request` or `unsupported_media_type`, with an issue for each fault.
 */
export function callReader(operation: Operation): (message: Received) => Pick<Call, 'params' | 'query' | 'body'> {
  const pathNames = [...operation.path.matchAll(PATH_PARAMETER)].map((match) => match[1]!);
  const queryNames = Object.keys(operation.query.shape);
  const names = new Set([...pathNames, ...queryNames]);
  const plan: Plan = { operation, pathNames, names };
  return ({ headers, payload }) => {
    const { named, body } = partsOf(headers[PARAMS.toLowerCase()], payload, names);
    return {
      params: paramsOf(named, pathNames),
      query: queryOf(named, plan),
      body: bodyOf(body, headers['content-type'], plan),
    };
  };
}

function partsOf(params: string | undefined, payload: Uint8Array, names: ReadonlySet<string>): Parts {
  if (params !== undefined) return { named: objectIn(params) ?? notAnObject(), body: { bytes: payload } };
  // '{' begins every JSON object that is written in one line.
  const members = payload[0] === 0x7b ? objectIn(Buffer.from(payload).toString()) : undefined;
  if (members === undefined) return { named: {}, body: { bytes: payload } };
  // Most requests are all body.
  if (!hasAny(members, names)) return { named: {}, body: { members } };
  const entries = Object.entries(members);
  return {
    named: Object.fromEntries(entries.filter(([name]) => names.has(name))),
    body: { members: Object.fromEntries(entries.filter(([name]) => !names.has(name))) },
  };
}

function hasAny(members: Members, names: ReadonlySet<string>): boolean {
  for (const name in members) if (names.has(name)) return true;
  return false;
}

function objectIn(text: string): Members | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : undefined;
  } catch {
    return undefined;
  }
}

function notAnObject(): never {
  throw new Problem('invalid_request', `the header ${PARAMS} is not one JSON object`);
}

function paramsOf(named: Members, pathNames: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {};
  for (const name of pathNames) {
    const text = named[name];
    if (typeof text !== 'string') throw fault(`/params/${name}`, `${name} is missing; it is text, percent-encoded`);
    // Text beyond ASCII, typed by hand, counts as its UTF-8.
    params[name] = percentDecode(bytesOfText(text) ?? '%') ?? percentFault(name);
  }
  return params;
}

function percentFault(name: string): never {
  throw fault(`/params/${name}`, `${name} has a % that is not followed by two hex digits`);
}

function queryOf(named: Members, { operation, pathNames, names }: Plan): Members {
  const query: Members = {};
  for (const name in named) {
    if (!names.has(name)) throw unknownName(name, names);
    if (!pathNames.includes(name)) query[name] = String(named[name]);
  }
  // Without names in the schema there is nothing to check and no default to fill in.
  if (names.size === pathNames.length) return query;
  const checked = operation.query.safeParse(query);
  if (!checked.success) throw faults(checked.error.issues, '/query');
  return checked.data;
}

function unknownName(name: string, names: ReadonlySet<string>): Problem {
  const nearest = nearestName(name, names);
  const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  return fault(`/query/${name}`, `${name} means nothing here${hint}`);
}

function bodyOf(given: Parts['body'], mediaType: string | undefined, { operation, names }: Plan): unknown {
  const contract = operation.body;
  if (contract.kind === 'bytes') return bytesOf(given);
  if (contract.kind !== 'json') return refuseMembers(given, names);
  refuseMediaType(mediaType, contract.mediaTypes);
  if (contract.keepsText) return jsonTextOf(given);
  const value = 'members' in given ? given.members : jsonOf(given.bytes);
  if (contract.isCheckedByHandler) return value;
  const checked = contract.schema.safeParse(value);
  if (!checked.success) throw faults(checked.error.issues, '');
  return checked.data;
}

/** Of a handwritten request, the bytes are the JSON of what is left. */
function bytesOf(given: Parts['body']): Uint8Array {
  if ('bytes' in given) return ownedBytes(given.bytes);
  return Object.keys(given.members).length === 0 ? new Uint8Array() : Buffer.from(JSON.stringify(given.members));
}

/** An operation without a body has no use for members that are left: they are misspelt names. */
function refuseMembers(given: Parts['body'], names: ReadonlySet<string>): undefined {
  const [left] = 'members' in given ? Object.keys(given.members) : [];
  if (left !== undefined) throw unknownName(left, names);
  return undefined;
}

function refuseMediaType(given: string | undefined, further: readonly string[] = []): void {
  if (given === undefined) return;
  const accepted = ['application/json', ...further];
  const bare = given.split(';', 1)[0]!.trim().toLowerCase();
  if (accepted.includes(bare)) return;
  throw new Problem('unsupported_media_type', `the body is ${bare}; accepted: ${accepted.join(', ')}`);
}

/** Of a handwritten request, the text is the JSON of what is left. */
function jsonTextOf(given: Parts['body']): JsonText {
  if ('members' in given) return { text: written(given.members), value: given.members };
  return { text: Buffer.from(given.bytes).toString(), value: jsonOf(given.bytes) };
}

/** JSON.parse is not recursive, JSON.stringify is: some thousand levels end its stack. */
function written(members: Members): string {
  try {
    return JSON.stringify(members);
  } catch (cause) {
    throw new Problem('invalid_request', 'the JSON is nested too deep', { cause });
  }
}

/** Undefined for no bytes at all, so that a schema with a default can fill it in. */
function jsonOf(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new Problem('invalid_request', 'the body is not JSON in UTF-8', { cause });
  }
}

function fault(path: string, message: string): Problem {
  return new Problem('invalid_request', message, { issues: [{ path, message }] });
}

function faults(found: readonly { path: readonly PropertyKey[]; message: string }[], prefix: string): Problem {
  const issues = found.slice(0, ISSUES_MAX).map(({ path, message }) => ({ path: prefix + pointer(path), message }));
  const { path, message } = issues[0]!;
  const more = found.length > 1 ? ` (and ${found.length - 1} more)` : '';
  return new Problem('invalid_request', `${path || 'the body'}: ${message}${more}`, { issues });
}

/** JSON Pointer, RFC 6901. */
function pointer(path: readonly PropertyKey[]): string {
  return path.map((name) => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
