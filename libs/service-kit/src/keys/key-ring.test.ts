import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { ConfigFault } from '../environment.ts';
import type { Log } from '../kit.ts';
import { KeyRing } from './key-ring.ts';
import { hashOfKey } from './key-text.ts';

const ROOT_KEY = 'root-key-of-enough-characters';
const lineOf = (name: string, scopes = 'kv:read') => `${name} ${hashOfKey(`key of ${name}`)} ${scopes}\n`;

const opened: KeyRing[] = [];
afterEach(() => {
  for (const ring of opened.splice(0)) ring.close();
});

interface Told {
  level: string;
  msg: string;
  fields: Record<string, unknown> | undefined;
}

/** A ring on files with these texts; what it logged is in `told`. */
async function ringOn(texts: { root?: string; keys?: string }, service = 'kv') {
  const folder = tempDir('keys');
  const [rootKeyFile, keysFile] = [join(folder, 'root-key'), join(folder, 'api-keys')];
  if (texts.root !== undefined) writeFileSync(rootKeyFile, texts.root);
  if (texts.keys !== undefined) writeFileSync(keysFile, texts.keys);
  const told: Told[] = [];
  const at = (level: string) => (msg: string, fields?: Record<string, unknown>) =>
    void told.push({ level, msg, fields });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const files = {
    rootKeyFile: texts.root === undefined ? undefined : rootKeyFile,
    keysFile: texts.keys === undefined ? undefined : keysFile,
  };
  const ring = await KeyRing.open({ service, files, log });
  opened.push(ring);
  return { ring, told, rootKeyFile, keysFile, folder };
}

describe('a ring of keys', () => {
  test('knows the keys of both files and no others', async () => {
    const { ring } = await ringOn({ root: `${ROOT_KEY}\n`, keys: lineOf('ann') + lineOf('bob', 'kv:write') });
    expect(ring.size).toBe(3);
    // Twice: the second answer comes out of what was met.
    for (let time = 0; time < 2; time++) {
      expect(ring.grantOf(ROOT_KEY)?.name).toBe('root');
      expect(ring.grantOf('key of ann')?.name).toBe('ann');
      expect(ring.grantOf('key of bob')?.allows('write', '/')).toBe(true);
      for (const key of ['', 'key of', 'key of eve', hashOfKey('key of ann'), `${ROOT_KEY} `, 'k'.repeat(20_000)])
        expect(ring.grantOf(key)).toBeUndefined();
    }
  });

  test('of one service does not take the scopes of another', async () => {
    const keys = lineOf('ann', 'kv:read');
    expect((await ringOn({ keys }, 'kv')).ring.grantOf('key of ann')?.allows('read', '/')).toBe(true);
    expect((await ringOn({ keys }, 'queue')).ring.grantOf('key of ann')?.allows('read', '/')).toBe(false);
  });

  test('a root key that is also a line may do everything', async () => {
    const keys = `ann ${hashOfKey(ROOT_KEY)} kv:read`;
    expect((await ringOn({ root: ROOT_KEY, keys })).ring.grantOf(ROOT_KEY)?.allows('write', '/')).toBe(true);
  });
});

describe('at the start', () => {
  const faultsOf = async (texts: { root?: string; keys?: string }, spoil?: (folder: string) => void) => {
    const { rootKeyFile, keysFile, folder } = await ringOn({ root: ROOT_KEY, keys: '' });
    if (texts.root !== undefined) writeFileSync(rootKeyFile, texts.root);
    if (texts.keys !== undefined) writeFileSync(keysFile, texts.keys);
    spoil?.(folder);
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const fault = await KeyRing.open({ service: 'kv', files: { rootKeyFile, keysFile }, log }).catch((error) => error);
    expect(fault).toBeInstanceOf(ConfigFault);
    return (fault as ConfigFault).faults.map((text) => text.replaceAll(folder, '…'));
  };

  test('all that is wrong is told at once, with variable, file and line', async () => {
    expect(await faultsOf({ root: 'short', keys: `${lineOf('ann')}eve\n` })).toEqual([
      'API_KEYS_FILE is "…/api-keys": line 2: it must be <name> <sha256 of the key, hex> <scope>[,<scope>…] [limit=<rule>]',
      'API_ROOT_KEY_FILE is "…/root-key": the key is 5 characters long; it must be 20 to 256 printable ASCII characters without a space',
    ]);
  });

  test('a file that is missing, a folder, or too large is told', async () => {
    expect(await faultsOf({}, (folder) => rmSync(join(folder, 'root-key')))).toEqual([
      'API_ROOT_KEY_FILE is "…/root-key": the file cannot be read: ENOENT',
    ]);
    const asFolder = (folder: string) => {
      rmSync(join(folder, 'api-keys'));
      mkdirSync(join(folder, 'api-keys'));
    };
    expect(await faultsOf({}, asFolder)).toEqual(['API_KEYS_FILE is "…/api-keys": it is no file']);
    expect(await faultsOf({ keys: '#'.repeat(1_048_577) })).toEqual([
      'API_KEYS_FILE is "…/api-keys": the file has 1,048,577 bytes; the most is 1,048,576',
    ]);
  });

  test('a file that is wrong all over is told by its first ten lines', async () => {
    const faults = await faultsOf({ keys: 'x\n'.repeat(5_000) });
    expect([faults.length, faults.at(-1)]).toEqual([11, 'API_KEYS_FILE is "…/api-keys": 5000 in all']);
  });
});

describe('when a file changes', () => {
  test('keys come, go and mean something else, also those that were met', async () => {
    const { ring, keysFile, told } = await ringOn({ keys: lineOf('ann') + lineOf('bob') });
    let changes = 0;
    ring.onChange(() => changes++);
    expect(ring.grantOf('key of ann')?.allows('write', '/')).toBe(false);
    expect(ring.grantOf('key of bob')).toBeDefined();
    writeFileSync(keysFile, lineOf('ann', 'kv:write') + lineOf('eve'));
    await ring.look();
    expect(ring.grantOf('key of ann')?.allows('write', '/')).toBe(true);
    expect(ring.grantOf('key of bob')).toBeUndefined();
    expect(ring.grantOf('key of eve')).toBeDefined();
    await ring.look();
    expect(changes).toBe(1);
    expect(told).toEqual([{ level: 'info', msg: 'API keys were read anew', fields: { keys: 2 } }]);
  });

  test('by a moved symbolic link, as a Secret does, that is a change', async () => {
    const { ring, keysFile, folder } = await ringOn({ keys: lineOf('ann') });
    for (const version of ['1', '2']) mkdirSync(join(folder, version));
    writeFileSync(join(folder, '1', 'api-keys'), lineOf('ann'));
    writeFileSync(join(folder, '2', 'api-keys'), lineOf('bob'));
    symlinkSync('1', join(folder, '..data'));
    unlinkSync(keysFile);
    symlinkSync('..data/api-keys', keysFile);
    await ring.look();
    expect(ring.grantOf('key of ann')).toBeDefined();
    symlinkSync('2', join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    await ring.look();
    expect([ring.grantOf('key of ann'), ring.grantOf('key of bob')?.name]).toEqual([undefined, 'bob']);
  });

  test('into something malformed or missing, the keys stay, which is logged once and without a key', async () => {
    const { ring, keysFile, told } = await ringOn({ root: ROOT_KEY, keys: lineOf('ann') });
    const spoiled = [() => writeFileSync(keysFile, 'plk_pasted_in_the_wrong_place'), () => rmSync(keysFile)];
    for (const [index, spoil] of spoiled.entries()) {
      spoil();
      await ring.look();
      await ring.look();
      expect(ring.grantOf('key of ann')).toBeDefined();
      expect(told).toHaveLength(index + 1);
      expect(told[index]).toMatchObject({ level: 'error', msg: 'API keys stay as they were' });
      expect(JSON.stringify(told)).not.toContain('pasted');
    }
    expect(JSON.stringify(told[0])).toContain('line 1: it must be');
    expect(JSON.stringify(told[1])).toContain('ENOENT');
  });

  test('one that is spoiled does not hold up the other', async () => {
    const { ring, rootKeyFile, keysFile } = await ringOn({ root: ROOT_KEY, keys: lineOf('ann') });
    rmSync(keysFile);
    writeFileSync(rootKeyFile, `${ROOT_KEY}-2`);
    await ring.look();
    expect(ring.grantOf(ROOT_KEY)).toBeUndefined();
    expect(ring.grantOf(`${ROOT_KEY}-2`)?.name).toBe('root');
    expect(ring.grantOf('key of ann')).toBeDefined();
  });
});
