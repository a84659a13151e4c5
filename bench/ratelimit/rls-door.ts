/** Envoy's protocol as a door: whoever serves it is asked in the same way. */
import type { Door } from './door.ts';
import type { GrpcChannel } from './grpc-channel.ts';
import { readRlsAnswer, SHOULD_RATE_LIMIT, shouldRateLimit } from './grpc-wire.ts';
import { FOUR_TO_TEN } from './workload.ts';

/** @param descriptors - `four`: the limit is the last of four descriptors, the others are plenty. */
export function rlsDoor(name: string, channel: GrpcChannel, descriptors: 'one' | 'four' = 'one'): Door {
  return {
    name,
    async take(limit, key) {
      const keys = descriptors === 'one' ? [limit] : FOUR_TO_TEN;
      const message = shouldRateLimit(keys.map((entry) => ({ key: entry, value: key })));
      return readRlsAnswer(await channel.call(SHOULD_RATE_LIMIT, message)).isAllowed;
    },
  };
}
