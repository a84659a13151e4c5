/** A client that borrows and spends until it is killed; each line is how many units it was allowed so far. */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRateLimiter } from '../src/rate-limit.ts';

const limiter = createRateLimiter({ url: process.argv[2]!, timeoutMs: 5_000, leases: { share: 0.02 } });
let allowed = 0;
for (;;) {
  for (let at = 0; at < 2; at++) {
    if ((await limiter.take('limit', 'a')).allowed) allowed++;
    // At once and not by the stream, which a kill would cut: what is told is what was spent.
    writeSync(1, `${allowed}\n`);
  }
  await sleep(1);
}
