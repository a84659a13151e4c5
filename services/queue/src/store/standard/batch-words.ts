/** What the scripts of the lane have in common. */
import { DELAYED_SCORE_UNIT } from './queue-place.ts';

/** `now`: milliseconds by the clock of Redis. */
export const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** What BullMQ does with its events, marks and scores. A script says first which keys those are. */
export const EVENTS = `
local call = redis.call
local eventsKey, metaKey, markerKey
local function trimEvents(max)
  if not max then
    max = '10000'
    call('HSET', metaKey, 'opts.maxLenEvents', max)
  end
  call('XTRIM', eventsKey, 'MAXLEN', '~', max)
end
local function mark() call('ZADD', markerKey, 0, '0') end
local function markDelayed(delayed)
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
  if first then call('ZADD', markerKey, tonumber(first) / ${DELAYED_SCORE_UNIT}, '1') end
end
local function score(priority, pc) return priority * 4294967296 + call('INCR', pc) % 4294967296 end
`;
