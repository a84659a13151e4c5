/**
 * How a script is declared. It is put together from parts of Lua; each part says which keys it touches, and those of all
 * parts are what the script declares in KEYS. In Lua the key `m` is written `K_m`.
 *
 * Parts are text, and what one declares with `local` those behind it see.
 */
import { createHash } from 'node:crypto';
import type { KeyName, QueueKeys } from './keys.ts';

/** A piece of Lua that others build on. */
export interface LuaPart {
  readonly keys: readonly KeyName[];
  /** Locals that nearly all functions use: they come first, outside of the function that all parts are in. */
  readonly prelude?: string;
  readonly text: string;
  /** What comes behind is a function of its own. At most 60 locals of what is before it may be used there. */
  readonly endsLevel?: boolean;
}

export interface Script {
  readonly name: string;
  /** In the order of KEYS. */
  readonly keys: readonly KeyName[];
  readonly text: string;
  readonly sha1: string;
}

/**
 * The parts are the body of a function, and preludes stand before it. To make a function Lua looks up each local that it
 * uses among all those in use at the same level, one after the other: with all of them on one level a call began with
 * 40 µs of that. So parts that nearly all others use end a level.
 *
 * @param parts - In order; the last one is the script's own.
 * @throws RangeError when a part uses a key that none declares.
 */
export function script(name: string, ...parts: readonly LuaPart[]): Script {
  const keys = [...new Set(parts.flatMap((part) => part.keys))];
  const preludes = parts.flatMap(({ prelude }) => prelude ?? []);
  const body = parts.flatMap(({ text, endsLevel }) => (endsLevel ? [text, 'local function behind()'] : [text]));
  const ends = parts.flatMap(({ endsLevel }) => (endsLevel ? ['end', 'return behind()'] : []));
  const lines = [`-- ${name}`, ...preludes, 'local function run()', ...body, ...ends, 'end', 'return run()'];
  const text = lines.join('\n').replace(/\bK_(\w+)/g, (_, key: KeyName) => {
    if (!keys.includes(key)) throw new RangeError(`${name} uses the key ${key}, which it does not declare`);
    return `KEYS[${keys.indexOf(key) + 1}]`;
  });
  return { name, keys, text, sha1: createHash('sha1').update(text).digest('hex') };
}

/** What a script answers: whole numbers, texts, nothing, and lists of these. */
export type Reply = number | string | null | Reply[];

/** The part of ioredis that scripts need: `Redis` and `Cluster` both have it. */
export interface ScriptClient {
  evalsha(sha1: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
  eval(text: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
}

/**
 * Runs a script for one queue: one EVALSHA, and only where Redis says that it does not know the script, and so has done
 * nothing, an EVAL. It is never run twice. Rejects as the client does.
 */
export async function runScript(
  client: ScriptClient,
  { keys, sha1, text }: Script,
  queue: QueueKeys,
  args: readonly (string | number)[],
): Promise<Reply> {
  const all: (string | number)[] = keys.map((key) => queue[key]);
  for (const argument of args) all.push(argument);
  try {
    return (await client.evalsha(sha1, keys.length, ...all)) as Reply;
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
    return (await client.eval(text, keys.length, ...all)) as Reply;
  }
}
