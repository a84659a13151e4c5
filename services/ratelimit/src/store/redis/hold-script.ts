/**
 * Places of `concurrency`: a sorted set of who holds, by the moment in microseconds since 1970 when the place is free
 * again. A member is "places:id", so that those whose time is over are counted back without another key; the member
 * `#` has the places taken as its score, which is far below any time.
 *
 * KEYS: the set. ARGV: hold, keep or release; id; places; of hold and keep microseconds to hold; of hold the limit.
 * Answer: 1 or 0; of hold also the places left and retryAfterUs (-1: never).
 */
import { script } from './script.ts';

export const HOLD = script(
  'hold',
  `
local call, ceil, max = redis.call, math.ceil, math.max
local clock = call('TIME')
local nowUs = clock[1] * 1000000 + clock[2]
local set, deed, places = KEYS[1], ARGV[1], tonumber(ARGV[3])
local member = ARGV[3] .. ':' .. ARGV[2]
local FIRST_TIME = 1000000000000

local function free(gone, count)
  call('ZREM', set, gone)
  call('ZINCRBY', set, -count, '#')
end

local function liveUntilLast()
  local last = call('ZRANGE', set, -1, -1, 'WITHSCORES')
  if not last[1] or last[1] == '#' then return call('DEL', set) end
  call('PEXPIRE', set, max(1, ceil((last[2] - nowUs) / 1000)))
end

local over = call('ZRANGEBYSCORE', set, FIRST_TIME, nowUs)
for _, gone in ipairs(over) do free(gone, string.match(gone, '^%d+') + 0) end
local isHolding = call('ZSCORE', set, member)

if deed == 'release' then
  if isHolding then free(member, places) end
  if isHolding or over[1] then liveUntilLast() end
  return { isHolding and 1 or 0 }
end

local untilUs = nowUs + tonumber(ARGV[4])
if deed == 'keep' then
  if isHolding then call('ZADD', set, untilUs, member) end
  if isHolding or over[1] then liveUntilLast() end
  return { isHolding and 1 or 0 }
end

local limit, taken = tonumber(ARGV[5]), tonumber(call('ZSCORE', set, '#') or 0)
local isHeld = isHolding or taken + places <= limit
if isHeld and places > 0 then
  call('ZADD', set, untilUs, member)
  if not isHolding then taken = tonumber(call('ZINCRBY', set, places, '#')) end
end
if isHeld or over[1] then liveUntilLast() end
if isHeld then return { 1, max(0, limit - taken), 0 } end
if places > limit then return { 0, max(0, limit - taken), -1 } end
local earliest = call('ZRANGEBYSCORE', set, FIRST_TIME, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return { 0, max(0, limit - taken), ceil(max(0, earliest[2] - nowUs)) }
`,
);
