/**
 * Kinds of settings. Each turns the text of an environment variable into what the service works with, or says what it
 * should have been. The unit is the last word of the property's name (`flushMs`, `segmentBytesMax`); `config.ts` holds
 * authors to it.
 */
import { isAbsolute, resolve } from 'node:path';
import { grouped } from '@plinth/problem';

export interface Setting<T> {
  kind: 'path' | 'port' | 'duration' | 'bytes' | 'int' | 'bool' | 'enum' | 'url' | 'text' | 'list';
  description: string;
  /** As it is shown to people; empty when there is no default. */
  defaultText: string;
  defaultValue: T;
  /** What a value must be, to be read after "it must be". */
  allowed: string;
  /** Its value is shown nowhere: not in faults, logs or tables. */
  isSecret: boolean;
  /** Its variable, where that is not the service's own: `REDIS_URL` is the same for all. */
  variable: string | undefined;
  /** The value, or undefined when the text is not one. */
  parse(text: string): T | undefined;
}

interface Told<Default> {
  /** Meaning, as a whole sentence. */
  description: string;
  /** Omitted: the setting may be absent, and reads as undefined. */
  default?: Default;
  isSecret?: boolean;
  /** As in `Setting`. */
  variable?: string;
}

interface Range {
  min?: number;
  max?: number;
}

const UNIT_MS: Record<string, number> = { '': 1, ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNIT_BYTES: Record<string, number> = { '': 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** Settings by kind: `setting.bytes({ default: 1_048_576, max: …, description: '…' })`. */
export const setting = {
  /** A file or folder; a relative one counts from the working directory of the process. Reads as an absolute path. */
  path<D extends string | undefined = undefined>(told: Told<D>): Setting<string | D> {
    return of('path', told, 'a path', (text) => (isAbsolute(text) ? text : resolve(text)));
  },

  /** A TCP port; 0 lets the system choose one. */
  port<D extends number | undefined = undefined>(told: Told<D>): Setting<number | D> {
    return numeric('port', told, { min: 0, max: 65_535 }, 'a port', readWhole);
  },

  /** Milliseconds as a number, or a number and its unit: `500ms`, `30s`, `5m`, `2h`, `7d`. */
  duration<D extends number | undefined = undefined>(told: Told<D> & Range): Setting<number | D> {
    const read = (text: string) => readWithUnit(text, UNIT_MS);
    return numeric('duration', told, told, 'milliseconds, or a number with ms, s, m, h or d,', read);
  },

  /** Bytes as a number, or a number and its unit: `512KiB`, `64MiB`, `10GiB`. */
  bytes<D extends number | undefined = undefined>(told: Told<D> & Range): Setting<number | D> {
    const read = (text: string) => readWithUnit(text, UNIT_BYTES);
    return numeric('bytes', told, told, 'bytes, or a number with KiB, MiB or GiB,', read);
  },

  /** A whole number. */
  int<D extends number | undefined = undefined>(told: Told<D> & Range): Setting<number | D> {
    return numeric('int', told, told, 'a whole number', readWhole);
  },

  /** `true` or `false`, and what people write for them. */
  bool<D extends boolean | undefined = undefined>(told: Told<D>): Setting<boolean | D> {
    return of('bool', told, 'true or false', (text) => {
      if (/^(true|yes|on|1)$/i.test(text)) return true;
      return /^(false|no|off|0)$/i.test(text) ? false : undefined;
    });
  },

  /** One of some words. */
  enum<const W extends string, const D extends NoInfer<W> | undefined = undefined>(
    told: Told<D> & { words: readonly W[] },
  ): Setting<W | D> {
    return of('enum', told, `one of ${told.words.join(', ')}`, (text) => told.words.find((word) => word === text));
  },

  /** An absolute URL, given back as it was written. */
  url<D extends string | undefined = undefined>(told: Told<D> & { schemes?: readonly string[] }): Setting<string | D> {
    const schemes = told.schemes ?? ['http', 'https'];
    const isRight = (text: string) => URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1));
    const allowed = `a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
    return of('url', told, allowed, (text) => (isRight(text) ? text : undefined));
  },

  /** One or more absolute URLs with commas between them, given back as they were written. */
  urls<D extends string | undefined = undefined>(told: Told<D> & { schemes: readonly string[] }): Setting<string | D> {
    const one = setting.url({ ...told, default: undefined });
    const areRight = (text: string) => text.split(',').every((part) => one.parse(part.trim()) !== undefined);
    return of('url', told, `${one.allowed}, or several with commas`, (text) => (areRight(text) ? text : undefined));
  },

  /** Any text. */
  text<D extends string | undefined = undefined>(told: Told<D>): Setting<string | D> {
    return of('text', told, 'a text', (text) => text);
  },

  /** Words with commas between them; spaces around them do not count. */
  list<D extends readonly string[] | undefined = undefined>(told: Told<D>): Setting<readonly string[] | D> {
    const read = (text: string): readonly string[] =>
      text
        .split(',')
        .map((word) => word.trim())
        .filter((word) => word !== '');
    return of<readonly string[], D>('list', told, 'words with commas between them', read);
  },
} as const;

function of<T, D extends T | undefined>(
  kind: Setting<T>['kind'],
  told: Told<D>,
  allowed: string,
  parse: (text: string) => T | undefined,
): Setting<T | D> {
  const { description, isSecret = false, variable } = told;
  const defaultText = told.default === undefined ? '' : String(told.default);
  return { kind, description, defaultText, defaultValue: told.default as T | D, allowed, isSecret, variable, parse };
}

function numeric<D extends number | undefined>(
  kind: Setting<number>['kind'],
  told: Told<D>,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: Range,
  noun: string,
  read: (text: string) => number | undefined,
): Setting<number | D> {
  const bounds =
    max === Number.MAX_SAFE_INTEGER ? `of at least ${grouped(min)}` : `from ${grouped(min)} to ${grouped(max)}`;
  return of(kind, told, `${noun} ${bounds}`, (text) => {
    const value = read(text);
    return value !== undefined && value >= min && value <= max ? value : undefined;
  });
}

function readWhole(text: string): number | undefined {
  return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function readWithUnit(text: string, units: Record<string, number>): number | undefined {
  const match = /^(\d{1,15}) ?([A-Za-z]*)$/.exec(text);
  const unit = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined;
  return unit === undefined ? undefined : Number(match![1]) * unit;
}
