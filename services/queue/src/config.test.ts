/** The settings, and the table of them in README.md. `UPDATE_DOCS=1 npm test -- services/queue/src/config` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { kitSettingRows, settingsTable } from '@plinth/service-kit';
import { queueSettings } from './config.ts';

const README = new URL('../README.md', import.meta.url);
const MARKED = /(<!-- settings[^>]*-->\n)(.*?)(<!-- \/settings -->)/s;

describe('settings', () => {
  test('work with none at all', () => {
    expect(queueSettings.read({})).toMatchObject({ lane: 'fast', unsafe: false, redisUrl: 'redis://127.0.0.1:6379' });
  });

  test('an unknown name stops the start and names the nearest', () => {
    expect(() => queueSettings.read({ QUEUE_LINE: 'fast' })).toThrow(/QUEUE_LANE/);
    expect(() => queueSettings.read({ QUEUE_LANE: 'quick' })).toThrow(/fast, standard/);
  });

  test('where Redis is, all services say alike', () => {
    expect(queueSettings.read({ REDIS_URL: 'redis+cluster://a:1,b:2' }).redisUrl).toBe('redis+cluster://a:1,b:2');
  });

  test('the table in README.md is what the service reads', () => {
    const table = `${settingsTable([...queueSettings.rows(), ...kitSettingRows('queue')]).trimEnd()}\n`;
    const readme = readFileSync(README, 'utf8');
    if (process.env.UPDATE_DOCS !== undefined) writeFileSync(README, readme.replace(MARKED, `$1${table}$3`));
    expect(MARKED.exec(readFileSync(README, 'utf8'))?.[2]).toBe(table);
  });
});
