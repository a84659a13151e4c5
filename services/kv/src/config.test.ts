/** The settings, and the table of them in README.md. `UPDATE_DOCS=1 npm test -- services/kv/src/config` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { kitSettingRows, settingsTable } from '@plinth/service-kit';
import { kvSettings } from './config.ts';

const README = new URL('../README.md', import.meta.url);
const MARKED = /(<!-- settings[^>]*-->\n)(.*?)(<!-- \/settings -->)/s;

describe('settings', () => {
  test('work with none at all', () => {
    expect(kvSettings.read({})).toMatchObject({ autoCreateBuckets: true, checkpointBytes: 67_108_864 });
  });

  test('an unknown name stops the start and names the nearest', () => {
    expect(() => kvSettings.read({ KV_CHEKPOINT_BYTES: '1MiB' })).toThrow(/KV_CHECKPOINT_BYTES/);
  });

  test('a value out of its range is refused with the range', () => {
    expect(() => kvSettings.read({ KV_COMMIT_TIMEOUT_MS: '99' })).toThrow(/KV_COMMIT_TIMEOUT_MS.*99/s);
    expect(kvSettings.read({ KV_COMMIT_TIMEOUT_MS: '100' }).commitTimeoutMs).toBe(100);
  });

  test('the table in README.md is what the service reads', () => {
    const table = `${settingsTable([...kvSettings.rows(), ...kitSettingRows('kv')]).trimEnd()}\n`;
    const readme = readFileSync(README, 'utf8');
    if (process.env.UPDATE_DOCS !== undefined) writeFileSync(README, readme.replace(MARKED, `$1${table}$3`));
    expect(MARKED.exec(readFileSync(README, 'utf8'))?.[2]).toBe(table);
  });
});
