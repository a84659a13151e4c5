/** Closing while the writer is in the middle of a look: what came between its look and the closing is still its own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { threadLogger } from '../src/threads/threads.ts';

const ROUNDS = 25;

test('a busy thread that closes its log has all of its lines in the file, each time', async () => {
  const folder = tempDir('threads-close');
  for (let round = 0; round < ROUNDS; round++) {
    const path = join(folder, `${round}.log`);
    const log = threadLogger({ path });
    const endMs = performance.now() + 40 + 4 * round;
    let taken = 0;
    for (; performance.now() < endMs; taken += 100) {
      for (let line = 0; line < 100; line++) log.info({ line }, 'busy');
      if (taken % 1_000 === 0) await nextTurn();
    }
    await log.close();
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(taken + 1);
    expect(log.stats()).toMatchObject({ written: taken, pending: 0, dropped: { failed: 0 } });
  }
});
