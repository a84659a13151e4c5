/** The battery on the standard lane and a real Redis. */
import { withRedis } from '@plinth/testkit';
import { laneContract } from './lane.contract.ts';
import { StandardLane } from './standard-lane.ts';

const redis = withRedis();

laneContract('the standard lane', () => StandardLane.open({ url: redis.url }), {
  // BullMQ replaces a debounced job by a new one, and counts its rate in windows.
  excuses: ['debounce-id', 'burst'],
});
