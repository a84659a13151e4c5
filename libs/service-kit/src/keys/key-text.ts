/**
 * Keys as text: how one is made, and how the files are read that hold them.
 *
 * The file of the root key holds the key. The other file holds a line a key, of which only the hash is kept, since a
 * backup or a listing of it must open nothing:
 *
 *     # name  sha256 of the key  scopes                       limit, if any
 *     ann     9f86d0…0f00a08     kv:read,kv:write:/v1/kv/ann  limit=partner
 *
 * A fault names the line and never quotes it: a key may have been put where its hash belongs. The hash needs no salt and
 * no slowness, which protect passwords that people think up: 32 random bytes are not guessed.
 */
import { hash, randomBytes } from 'node:crypto';
import { parseScope, SCOPE_FORM, type Scope } from './scope.ts';

/** The longest key, in characters; more is no key, and not worth hashing. */
export const KEY_CHARS_MAX = 256;
/** The shortest root key: 20 random letters and digits are 119 bits. */
const KEY_CHARS_MIN = 20;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const LINE_FORM = '<name> <sha256 of the key, hex> <scope>[,<scope>…] [limit=<rule>]';
const LIMIT = /^limit=([!-~]{1,256})$/;
const ROOT: Omit<KeyEntry, 'hash'> = { name: 'root', scopes: [parseScope('*')!] };

export interface KeyEntry {
  /** Whose key it is, for answers and logs. */
  name: string;
  /** SHA-256 of the key, in lower-case hex. */
  hash: string;
  scopes: readonly Scope[];
  /** The rule, in the domain `api-keys` of the rate limiter, that says how often the key may be used. */
  limitName?: string | undefined;
}

/** What a text says, and what is wrong with it. With faults, nothing of it counts. */
export interface KeyText {
  entries: readonly KeyEntry[];
  faults: readonly string[];
}

/** A key that nobody can guess: `plk_` and 32 random bytes, so that tools which look for leaked secrets know it. */
export function newKey(): string {
  return `plk_${randomBytes(32).toString('base64url')}`;
}

export function hashOfKey(key: string): string {
  return hash('sha256', key, 'hex');
}

/** The text of the file of the root key; space around the key does not count. */
export function parseRootKey(text: string): KeyText {
  const key = text.trim();
  if (key === '') return { entries: [], faults: ['it is empty; it must hold the key'] };
  if (/^[!-~]+$/.test(key) && key.length >= KEY_CHARS_MIN && key.length <= KEY_CHARS_MAX) {
    return { entries: [{ ...ROOT, hash: hashOfKey(key) }], faults: [] };
  }
  const must = `it must be ${KEY_CHARS_MIN} to ${KEY_CHARS_MAX} printable ASCII characters without a space`;
  return { entries: [], faults: [`the key is ${key.length} characters long; ${must}`] };
}

/** The text of the file of further keys. */
export function parseKeyLines(text: string): KeyText {
  const entries: KeyEntry[] = [];
  const faults: string[] = [];
  const lineOf = new Map<string, number>();
  for (const [index, line] of text.split('\n').entries()) {
    const told = line.trim();
    if (told === '' || told.startsWith('#')) continue;
    const entry = parseKeyLine(told);
    const fault = typeof entry === 'string' ? entry : repetition(entry, lineOf);
    if (fault !== undefined) faults.push(`line ${index + 1}: ${fault}`);
    else if (typeof entry !== 'string') {
      entries.push(entry);
      lineOf.set(`name ${entry.name}`, index + 1).set(`key ${entry.hash}`, index + 1);
    }
  }
  return { entries, faults };
}

/** The entry of one line, or what is wrong with it. */
export function parseKeyLine(line: string): KeyEntry | string {
  const [name = '', hashText = '', scopesText = '', limitText, ...more] = line.split(/\s+/);
  if (scopesText === '' || more.length > 0) return `it must be ${LINE_FORM}`;
  if (!NAME.test(name)) return 'the name must be 1 to 64 letters, digits, . _ -, the first a letter or a digit';
  if (!/^[0-9a-fA-F]{64}$/.test(hashText)) return 'the hash must be 64 hex digits, the SHA-256 of the key';
  const scopes = scopesText.split(',').map(parseScope);
  const wrong = scopes.indexOf(undefined);
  if (wrong >= 0) return `scope ${wrong + 1} of ${scopes.length} must be ${SCOPE_FORM}`;
  const limitName = limitText === undefined ? undefined : LIMIT.exec(limitText)?.[1];
  if (limitText !== undefined && limitName === undefined)
    return 'what follows the scopes must be limit=<name of a rule>';
  return { name, hash: hashText.toLowerCase(), scopes: scopes as Scope[], limitName };
}

function repetition({ name, hash: hashText }: KeyEntry, lineOf: ReadonlyMap<string, number>): string | undefined {
  const [sameName, sameKey] = [lineOf.get(`name ${name}`), lineOf.get(`key ${hashText}`)];
  if (sameName !== undefined) return `line ${sameName} has the same name`;
  return sameKey === undefined ? undefined : `line ${sameKey} has the same key`;
}
