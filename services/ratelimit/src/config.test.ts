/** The settings, and the table of them in README.md. `UPDATE_DOCS=1 npm test -- services/ratelimit/src/config` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { kitSettingRows, settingsTable } from '@plinth/service-kit';
import { ratelimitSettings } from './config.ts';

const README = new URL('../README.md', import.meta.url);
const MARKED = /(<!-- settings[^>]*-->\n)(.*?)(<!-- \/settings -->)/s;

describe('settings', () => {
  test('work with none at all', () => {
    expect(ratelimitSettings.read({})).toMatchObject({ backend: 'memory', rlsPort: 7_412, respPort: 7_422 });
  });

  test('an unknown name stops the start and names the nearest', () => {
    expect(() => ratelimitSettings.read({ RATELIMIT_RULE_DIR: '/rules' })).toThrow(/RATELIMIT_RULES_DIR/);
  });

  test('where Redis is, all services say alike', () => {
    expect(ratelimitSettings.read({ REDIS_URL: 'redis+cluster://a:1,b:2' }).redisUrl).toBe('redis+cluster://a:1,b:2');
  });

  test('the table in README.md is what the service reads', () => {
    const table = `${settingsTable([...ratelimitSettings.rows(), ...kitSettingRows('ratelimit')]).trimEnd()}\n`;
    const readme = readFileSync(README, 'utf8');
    if (process.env.UPDATE_DOCS !== undefined) writeFileSync(README, readme.replace(MARKED, `$1${table}$3`));
    expect(MARKED.exec(readFileSync(README, 'utf8'))?.[2]).toBe(table);
  });
});
