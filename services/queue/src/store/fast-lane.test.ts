/** The battery on the fast lane and a real Redis. */
import { withRedis } from '@plinth/testkit';
import { FastLane } from './fast-lane.ts';
import { laneContract } from './lane.contract.ts';

const redis = withRedis();

laneContract('the fast lane', () => FastLane.open({ url: redis.url }));
