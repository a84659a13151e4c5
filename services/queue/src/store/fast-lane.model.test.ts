/** The fast lane against the model of what a lane promises. A failure prints its seed: SEED=<number> runs it again. */
import { test } from '@jest/globals';
import { seededRandom, withRedis } from '@plinth/testkit';
import { FastLane } from './fast-lane.ts';
import { LanePair } from './lane-model.contract.ts';

const redis = withRedis();

test.each([
  ['one by one', false],
  ['by the dozen, so that batches are settled, renewed, cancelled and lost in parts', true],
])(
  'random operations leave the lane as they leave the model, %s',
  async (_, byTheDozen) => {
    const lane = await FastLane.open({ url: redis.url });
    try {
      const random = seededRandom();
      const steps = Number(process.env.STEPS ?? (byTheDozen ? 250 : 400));
      for (let run = 0; run < 4; run++) {
        await new LanePair(lane, `model-${byTheDozen}-${run}`, random, { byTheDozen }).run(steps);
      }
    } finally {
      await lane.stop();
    }
  },
  300_000,
);
