/**
 * The short way for what nearly all requests are: one charge by GCRA, no penalty, taken if it is there. Any number of
 * such asks, decided one after the other. The state is that of `state-lua.ts`.
 *
 * ARGV of an ask: capacity, stepUs, cost. Answer per ask, flat: 1 allowed, 0 denied or 2 blocked; remaining;
 * retryAfterUs (-1: never); resetUs.
 */
import { script } from './script.ts';

export const PACED = script(
  'paced',
  `
local call, floor, ceil, max, min = redis.call, math.floor, math.ceil, math.max, math.min
local MOST_US, LIFE_MS_MAX = 9007199254740991, 3200000000000
local clock = call('TIME')
local nowUs = clock[1] * 1000000 + clock[2]
local answer, states, changed, n, a = {}, {}, {}, 0, 0
for i = 1, #KEYS do
  local key = KEYS[i]
  local capacity, stepUs, cost = ARGV[a + 1] + 0, ARGV[a + 2] + 0, ARGV[a + 3] + 0
  a = a + 3
  local state = states[key]
  if not state then
    local packed = call('GET', key)
    if packed then
      state = { cmsgpack.unpack(packed) }
      if state[4] ~= 'g' then state = { state[1], state[2], state[3], 'g', nowUs, 0 } end
      local goneUs = nowUs - state[5]
      if goneUs > 0 then
        state[5] = nowUs
        state[6] = goneUs < state[6] and state[6] - goneUs or 0
      end
    else
      state = { 0, 0, 0, 'g', nowUs, 0 }
    end
    if #KEYS > 1 then states[key] = state end
  end
  local excessUs = state[6]
  local free = excessUs <= 0 and capacity or floor(capacity - excessUs / stepUs + 0.01)
  local code, waitUs, resetUs = 1, 0, excessUs
  if state[1] > nowUs then
    code, waitUs, free = 2, state[1] - nowUs, 0
    resetUs = max(excessUs, waitUs)
  elseif free < cost then
    code, waitUs = 0, cost > capacity and -1 or excessUs - (capacity - cost + 0.005) * stepUs
  elseif cost > 0 then
    free = free - cost
    resetUs = excessUs + cost * stepUs
    state[6] = resetUs
    changed[key] = state
  end
  answer[n + 1] = code
  answer[n + 2] = max(0, free)
  answer[n + 3] = min(ceil(waitUs), MOST_US)
  answer[n + 4] = min(ceil(resetUs), MOST_US)
  n = n + 4
end
for key, state in pairs(changed) do
  local lifeUs = max(state[6], state[1] - nowUs, state[3] - nowUs)
  call('SET', key, cmsgpack.pack(unpack(state)), 'PX', min(ceil(lifeUs / 1000), LIFE_MS_MAX))
end
return answer
`,
);
