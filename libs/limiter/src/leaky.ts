/**
 * A leaky bucket used as a queue (Turner 1986, as nginx's `limit_req` with a delay): one unit leaves every step, and
 * those admitted wait for their turn. State and arithmetic are those of GCRA; the difference is that a place in the
 * bucket is a time to wait and not permission to go now.
 */
import type { Algorithm } from './algorithm.ts';
import { gcra } from './gcra.ts';

export const leaky: Algorithm = {
  ...gcra,
  delayUs: (cells, at, _policy, nowUs) => Math.max(0, cells[at]! - nowUs),
};
