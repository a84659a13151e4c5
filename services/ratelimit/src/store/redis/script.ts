/** A Lua script and the name Redis knows it by once it has seen it. */
import { createHash } from 'node:crypto';

export interface Script {
  readonly name: string;
  readonly text: string;
  readonly sha1: string;
}

export function script(name: string, ...parts: readonly string[]): Script {
  const text = parts.join('\n');
  return { name, text, sha1: createHash('sha1').update(text).digest('hex') };
}
