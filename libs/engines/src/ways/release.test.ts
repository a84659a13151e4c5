import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { officialRelease } from './release.ts';

/** A release page with one real archive; `sums` is what its SHA256SUMS says. */
const root = mkdtempSync(join(tmpdir(), 'plinth-release-'));
let sums = '';
const server = createServer((request, response) => {
  if (request.url === '/SHA256SUMS') return void response.end(sums);
  response.end(readFileSync(join(root, 'toy.tar.gz')));
});
const stagingDir = () => mkdtempSync(join(root, 'staging-'));

beforeAll(async () => {
  mkdirSync(join(root, 'toy'));
  writeFileSync(join(root, 'toy', 'server'), 'a program');
  execFileSync('tar', ['-czf', join(root, 'toy.tar.gz'), '-C', root, 'toy']);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(root, { recursive: true, force: true });
});

function fetchRelease(stagingDir: string) {
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const way = officialRelease({ version: 'v1', baseUrl, archive: () => 'toy.tar.gz', binary: () => 'toy/server' });
  return way.fetch({ env: process.env, stagingDir, progress: () => {} });
}

const checksum = () =>
  createHash('sha256')
    .update(readFileSync(join(root, 'toy.tar.gz')))
    .digest('hex');

test('an archive that agrees with SHA256SUMS is unpacked', async () => {
  sums = `${'0'.repeat(64)}  other.zip\n${checksum()}  toy.tar.gz\n`;
  const dir = stagingDir();
  expect(await fetchRelease(dir)).toEqual({ binary: 'toy/server' });
  expect(readFileSync(join(dir, 'toy', 'server'), 'utf8')).toBe('a program');
});

test('an archive that does not is refused before it is unpacked', async () => {
  sums = `${'0'.repeat(64)}  toy.tar.gz\n`;
  const dir = stagingDir();
  await expect(fetchRelease(dir)).rejects.toThrow(/^toy\.tar\.gz has SHA-256/);
  expect(existsSync(join(dir, 'toy'))).toBe(false);
});

test('an archive that SHA256SUMS does not name is refused', async () => {
  sums = `${checksum()}  toy.zip\n`;
  await expect(fetchRelease(stagingDir())).rejects.toThrow('SHA256SUMS does not name toy.tar.gz');
});
