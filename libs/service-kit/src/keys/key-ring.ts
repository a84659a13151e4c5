/**
 * The keys that a service knows, as their files say.
 *
 * The files are read anew every two seconds and compared by content: a Secret of Kubernetes is replaced by moving a
 * symbolic link, of which `fs.watch` tells something else on each system, and times of change can be equal or go back.
 * A file that cannot be read or is malformed leaves the keys as they were, so that a slip of an editor locks nobody out.
 */
import { readFile, stat } from 'node:fs/promises';
import { grouped } from '@plinth/problem';
import { ConfigFault } from '../environment.ts';
import type { Log } from '../kit.ts';
import { hashOfKey, KEY_CHARS_MAX, type KeyEntry, type KeyText, parseKeyLines, parseRootKey } from './key-text.ts';
import { Grant } from './scope.ts';

/** Reading 100 keys so often costs 0.02 % of a core. A key that was taken away is refused by then. */
const LOOK_EVERY_MS = 2_000;
/** About 10,000 keys, whose file takes 1 ms to read. */
const FILE_BYTES_MAX = 1_048_576;
/** Of a file that is wrong all over, the first ones tell. */
const FAULTS_MAX = 10;

export interface KeyRingOptions {
  service: string;
  /** Paths; a file that is not set holds no key. */
  files: { rootKeyFile: string | undefined; keysFile: string | undefined };
  log: Log;
}

export class KeyRing {
  readonly service: string;
  readonly #log: Log;
  readonly #files: readonly KeyFile[];
  readonly #listeners: (() => void)[] = [];
  #byHash = new Map<string, Grant>();
  /**
   * Grants by the key itself, so that a key is hashed once and not with every request. Only keys that are known get in,
   * so it is no larger than the files. Its look-up tells no more about keys than the look-up by hash: texts are
   * compared only where their seeded 32-bit hashes are equal.
   */
  #byKey = new Map<string, Grant>();
  #timer: NodeJS.Timeout | undefined;

  private constructor({ service, files, log }: KeyRingOptions) {
    this.service = service;
    this.#log = log;
    this.#files = [
      ...fileOf('API_KEYS_FILE', files.keysFile, parseKeyLines),
      // Last: a key that is in both may do everything.
      ...fileOf('API_ROOT_KEY_FILE', files.rootKeyFile, parseRootKey),
    ];
  }

  /** Reads the files, now and from now on. @throws ConfigFault when one is missing or malformed. */
  static async open(options: KeyRingOptions): Promise<KeyRing> {
    const ring = new KeyRing(options);
    await Promise.all(ring.#files.map((file) => file.read()));
    const faults = ring.#files.flatMap((file) => file.faults);
    if (faults.length > 0) throw new ConfigFault(faults);
    ring.#fill();
    ring.#lookLater();
    return ring;
  }

  /** How many keys are known. */
  get size(): number {
    return this.#byHash.size;
  }

  /** Whether any key is limited. */
  get hasLimits(): boolean {
    return [...this.#byHash.values()].some(({ limitName }) => limitName !== undefined);
  }

  /** What the bearer of a key may do; undefined when nobody knows the key. Cost: 0.1 µs; 1 µs the first time, and for a key that is unknown. */
  grantOf(key: string): Grant | undefined {
    return this.#byKey.get(key) ?? this.#meet(key);
  }

  /** Calls `listener` whenever keys have come or gone or mean something else. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Reads the files anew now. Never throws: what is wrong is logged, once. */
  async look(): Promise<void> {
    const changed = await Promise.all(this.#files.map((file) => this.#readAnew(file)));
    if (!changed.includes(true)) return;
    this.#fill();
    this.#log.info('API keys were read anew', { keys: this.size });
    for (const listener of this.#listeners) listener();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #lookLater(): void {
    const again = () => this.look().then(() => this.#timer && this.#lookLater());
    this.#timer = setTimeout(again, LOOK_EVERY_MS).unref();
  }

  async #readAnew(file: KeyFile): Promise<boolean> {
    const before = file.faults.join();
    const isChanged = await file.read();
    const { faults } = file;
    if (faults.length > 0 && faults.join() !== before) this.#log.error('API keys stay as they were', { faults });
    return isChanged;
  }

  #fill(): void {
    const entries = this.#files.flatMap((file) => file.entries);
    this.#byHash = new Map(entries.map((entry) => [entry.hash, this.#grant(entry)]));
    this.#byKey = new Map();
  }

  #grant({ name, scopes, limitName }: KeyEntry): Grant {
    return new Grant(name, scopes, this.service, limitName);
  }

  #meet(key: string): Grant | undefined {
    if (key === '' || key.length > KEY_CHARS_MAX) return undefined;
    const grant = this.#byHash.get(hashOfKey(key));
    if (grant !== undefined) this.#byKey.set(key, grant);
    return grant;
  }
}

/** One file, as it was when it was last in order. */
class KeyFile {
  entries: readonly KeyEntry[] = [];
  /** What was wrong with it when it was read last. */
  faults: readonly string[] = [];
  readonly #variable: string;
  readonly #path: string;
  readonly #parse: (text: string) => KeyText;
  #text: string | undefined;

  constructor(variable: string, path: string, parse: (text: string) => KeyText) {
    this.#variable = variable;
    this.#path = path;
    this.#parse = parse;
  }

  /** @returns Whether its text is another now. With faults it keeps the entries that it had. */
  async read(): Promise<boolean> {
    try {
      const text = await readSmallFile(this.#path);
      this.faults = [];
      return text !== this.#text && this.#take(text);
    } catch (error) {
      return this.#fail([(error as Error).message]);
    }
  }

  #take(text: string): boolean {
    const { entries, faults } = this.#parse(text);
    if (faults.length > 0) return this.#fail(faults);
    this.#text = text;
    this.entries = entries;
    return true;
  }

  #fail(faults: readonly string[]): false {
    const told = faults.length <= FAULTS_MAX ? faults : [...faults.slice(0, FAULTS_MAX), `${faults.length} in all`];
    this.faults = told.map((fault) => `${this.#variable} is ${JSON.stringify(this.#path)}: ${fault}`);
    return false;
  }
}

function fileOf(variable: string, path: string | undefined, parse: (text: string) => KeyText): KeyFile[] {
  return path === undefined ? [] : [new KeyFile(variable, path, parse)];
}

/** @throws Error that says what is wrong with the file. */
async function readSmallFile(path: string): Promise<string> {
  const found = await stat(path).catch(cannotRead);
  if (!found.isFile()) throw new Error('it is no file');
  if (found.size > FILE_BYTES_MAX) {
    throw new Error(`the file has ${grouped(found.size)} bytes; the most is ${grouped(FILE_BYTES_MAX)}`);
  }
  return readFile(path, 'utf8').catch(cannotRead);
}

function cannotRead(cause: NodeJS.ErrnoException): never {
  throw new Error(`the file cannot be read: ${cause.code ?? cause.message}`, { cause });
}
