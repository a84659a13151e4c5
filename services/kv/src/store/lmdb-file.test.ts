import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { assertLmdbFile } from './lmdb-file.ts';
import { openLmdbStore } from './lmdb-store.ts';
import { TABLES } from './store.ts';

const PAGE_BYTES = 4_096;
const LAST_PAGE_AT = 24 + 24 + 96;

describe('a data file before LMDB gets it', () => {
  let folder: string;
  let whole: Buffer;
  let content: string;

  beforeAll(async () => {
    folder = tempDir('lmdb-file');
    await openAndLook(folder, 'made');
    const store = await openLmdbStore(join(folder, 'made'));
    for (let position = 1; position <= 40; position++) {
      store.step(position, () => {
        // Branches, leaves, values of several pages, and free pages between them.
        for (let n = 0; n < 40; n++) store.put('index', `${(position * 7 + n) % 600}`, Buffer.alloc(60, position));
        store.put('records', `${position % 9}`, Buffer.alloc((position % 4) * 9_000 + 1, position));
        store.remove('index', `${(position * 31) % 600}`);
      });
      await store.checkpoint();
    }
    await store.close();
    whole = readFileSync(join(folder, 'made/state.mdb'));
    content = await openAndLook(folder, 'made');
  });

  const write = (name: string, bytes: Buffer): void => {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'state.mdb'), bytes);
  };

  test('cut off after any page is either refused, or lacks nothing', async () => {
    let refused = 0;
    for (let pages = 0; pages < whole.length / PAGE_BYTES; pages++) {
      write(`cut-${pages}`, whole.subarray(0, pages * PAGE_BYTES));
      try {
        await assertLmdbFile(join(folder, `cut-${pages}`, 'state.mdb'));
      } catch (error) {
        expect((error as Error).message).toMatch(pages < 2 ? /is not a data file/ : /is cut off: it has \d+ pages/);
        refused++;
        continue;
      }
      expect(await openAndLook(folder, `cut-${pages}`)).toBe(content);
    }
    expect(refused).toBeGreaterThan(10);
  });

  test('that counts free pages which were never written is taken', async () => {
    const counting = Buffer.from(whole);
    for (const meta of [0, PAGE_BYTES]) {
      counting.writeBigUInt64LE(counting.readBigUInt64LE(meta + LAST_PAGE_AT) + 3n, meta + LAST_PAGE_AT);
    }
    write('counting', counting);
    expect(await openAndLook(folder, 'counting')).toBe(content);
  });
});

async function openAndLook(folder: string, name: string): Promise<string> {
  const store = await openLmdbStore(join(folder, name));
  const rows = TABLES.map((table) =>
    [...store.range(table, {})].map(({ key, value }) => `${key}=${Buffer.from(value).toString('base64')}`),
  );
  await store.close();
  return JSON.stringify(rows);
}
