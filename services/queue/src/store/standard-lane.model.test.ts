/** The standard lane against the model of what a lane promises. A failure prints its seed: SEED=<number> runs it again. */
// On a queue with groups BullMQ's one order is that of turns, so order within a group is not compared.
import { test } from '@jest/globals';
import { seededRandom, withRedis } from '@plinth/testkit';
import { LanePair } from './lane-model.contract.ts';
import { StandardLane } from './standard-lane.ts';

const redis = withRedis();

test('random operations leave the lane as they leave the model', async () => {
  const lane = await StandardLane.open({ url: redis.url });
  try {
    const random = seededRandom();
    for (let run = 0; run < 3; run++) await new LanePair(lane, `model-${run}`, random, { keepsOrder: false }).run(300);
  } finally {
    await lane.stop();
  }
}, 300_000);
