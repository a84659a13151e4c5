/**
 * Makes an API key.
 *
 *     npm run -s key -- --name ann --scope kv:read,kv:write:/v1/kv/ann >> api-keys   # the key comes on the other stream
 *     npm run -s key -- --root > root-key
 *
 * What belongs in a file goes to standard output; a key that no file may hold goes to standard error, once.
 */
import { parseArgs } from 'node:util';
import { hashOfKey, newKey, parseKeyLine } from './key-text.ts';

const USAGE = `npm run -s key -- --name <whose> --scope <scope>[,<scope>…] >> <file of API_KEYS_FILE>
npm run -s key -- --root > <file of API_ROOT_KEY_FILE>`;

interface Flags {
  name?: string | undefined;
  scope?: string[] | undefined;
  root?: boolean | undefined;
}

/** @throws Error that says how it is called. */
function readFlags(): Flags {
  const name = { type: 'string' } as const;
  const scope = { type: 'string', multiple: true } as const;
  return parseArgs({ options: { name, scope, root: { type: 'boolean' } } }).values;
}

/** The line of the file for a key. @throws Error that says what is wrong with the name or a scope. */
function lineFor(key: string, { name, scope }: Flags): string {
  if (!name || !scope?.length) throw new Error('a key needs --name and --scope, or --root');
  const line = `${name} ${hashOfKey(key)} ${scope.join(',')}`;
  const entry = parseKeyLine(line);
  if (typeof entry === 'string') throw new Error(entry);
  return line;
}

try {
  const flags = readFlags();
  const key = newKey();
  if (flags.root) console.log(key);
  else {
    console.log(lineFor(key, flags));
    console.error(
      `${key}\n^ the key of ${flags.name}: it is shown this once. The line is for the file of API_KEYS_FILE.`,
    );
  }
} catch (error) {
  console.error(`${(error as Error).message}\n${USAGE}`);
  process.exitCode = 1;
}
