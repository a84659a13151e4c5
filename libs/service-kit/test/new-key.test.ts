/** `npm run key`: a key as a person makes one. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { hashOfKey, parseKeyLines, parseRootKey } from '../src/keys/key-text.ts';

const SCRIPT = new URL('../src/keys/new-key.ts', import.meta.url).pathname;
const run = (...args: string[]) => spawnSync(process.execPath, [SCRIPT, ...args], { encoding: 'utf8' });

describe('npm run key', () => {
  test('gives the line for the file, and the key beside it', () => {
    const { stdout, stderr, status } = run(
      '--name',
      'ann',
      '--scope',
      'kv:read,queue:*',
      '--scope',
      'kv:write:/v1/kv/ann',
    );
    expect(status).toBe(0);
    const { entries, faults } = parseKeyLines(stdout);
    expect(faults).toEqual([]);
    expect(entries).toMatchObject([
      { name: 'ann', scopes: [{ access: 'read' }, { service: 'queue' }, { path: '/v1/kv/ann' }] },
    ]);
    const [key = ''] = stderr.split('\n');
    expect(hashOfKey(key)).toBe(entries[0]!.hash);
    expect(stdout).not.toContain(key);
  });

  test('gives a root key for its file', () => {
    const { stdout, status } = run('--root');
    expect(status).toBe(0);
    expect(parseRootKey(stdout)).toMatchObject({ entries: [{ name: 'root' }], faults: [] });
  });

  test.each([
    [['--name', 'ann', '--scope', 'kv:raed'], 'scope 1 of 1 must be'],
    [['--name', '#ann', '--scope', 'kv:read'], 'the name must be'],
    [['--name', 'ann'], 'a key needs --name and --scope'],
    [['--nam', 'ann'], "Unknown option '--nam'"],
  ])('says what is wrong with %j, and gives no key', (args, reason) => {
    const { stdout, stderr, status } = run(...args);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(reason);
    expect(stderr).not.toContain('plk_');
  });
});
