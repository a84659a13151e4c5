/**
 * The algorithms of libs/limiter once more, in Lua, over a state that Redis keeps: the first part of every script but
 * the short one for GCRA. The battery holds both to the same answers.
 *
 * A state is one string value, `cmsgpack.pack` of a few numbers:
 *
 *     1 blockedUntilUs   0: not blocked
 *     2 denials          counted for a penalty
 *     3 denialsUntilUs   when their count begins anew
 *     4 shape            the kind, and what its windows are: under another one the numbers below begin anew
 *     gcra, leaky:       5 atUs, 6 excessUs: from `atUs` on it takes so long until the bucket is full
 *     fixed, calendar:   5 startUs, 6 endUs of the window, 7 units taken in it, 8 zero
 *     sliding:           the same, 8 units of the window before
 *     strict:            5 number of the newest sub-bucket, 6 sum, 7 a ring of 61 counts, those
 *                        of 0 left out: a tenth of the time where a key is seldom asked for
 *
 * - Time is the server's, microseconds since 1970. It is kept apart from the excess, which needs the fractions that a
 *   double of that size has no place for. Where it went back, the time in the state counts: that frees nothing.
 * - A value lives until it is equal to none, and no longer; a key without a value is a fresh key.
 * - States are read once and written once, at the end: a script that fails has done nothing.
 * - ARGV of a charge: shape, capacity, widthUs (gcra: of a unit; strict: of a sub-bucket; else of the window), cost,
 *   flags (1 shadow, 2 penalty). A calendar adds three limits of its periods; a penalty denials, withinUs, blockUs.
 */
export const STATE_LUA = `
local call, floor, ceil, max, min = redis.call, math.floor, math.ceil, math.max, math.min
local clock = call('TIME')
local nowUs = clock[1] * 1000000 + clock[2]
local RING, ROUNDING, WAIT_ROUNDING, NEVER = 61, 0.01, 0.005, -1
local argument, states, changed = 1, {}, {}

local function nextNumber()
  argument = argument + 1
  return tonumber(ARGV[argument - 1])
end

local function nextText()
  argument = argument + 1
  return ARGV[argument - 1]
end

local function nextCharge(key)
  local charge = { key = key, shape = nextText(), capacity = nextNumber(), widthUs = nextNumber(), cost = nextNumber() }
  local flags = nextNumber()
  charge.kind = string.sub(charge.shape, 1, 1)
  charge.isShadow = flags % 2 == 1
  if charge.kind == 'l' then charge.kind, charge.isQueue = 'g', true end
  if charge.kind == 'c' then charge.bounds = { nextNumber(), nextNumber(), nextNumber() } end
  if flags >= 2 then charge.penalty = { denials = nextNumber(), withinUs = nextNumber(), blockUs = nextNumber() } end
  return charge
end

-- Nil where the caller's calendar is not the server's: it has to ask again.
local function windowOf(charge)
  if charge.kind ~= 'c' then
    local startUs = floor(nowUs / charge.widthUs) * charge.widthUs
    return startUs, startUs + charge.widthUs
  end
  local bounds = charge.bounds
  if nowUs < bounds[1] * 1000 or nowUs >= bounds[3] * 1000 then return nil end
  local first = nowUs < bounds[2] * 1000 and 1 or 2
  return bounds[first] * 1000, bounds[first + 1] * 1000
end

local function advancePaced(state)
  if not state[5] then state[5], state[6] = nowUs, 0 end
  local goneUs = nowUs - state[5]
  if goneUs > 0 then state[5], state[6] = nowUs, max(0, state[6] - goneUs) end
end

local function advanceStrict(state, charge)
  local newest = floor(nowUs / charge.widthUs)
  if not state[5] then state[5], state[6], state[7] = newest, 0, {} end
  if newest - state[5] >= RING then
    state[6], state[7] = 0, {}
  else
    for number = state[5] + 1, newest do
      local place = number % RING + 1
      state[6] = state[6] - (state[7][place] or 0)
      state[7][place] = nil
    end
  end
  state[5] = max(state[5], newest)
end

local function advanceWindow(state, charge)
  local startUs, endUs = windowOf(charge)
  if not startUs then return false end
  if not state[5] then state[5], state[6], state[7], state[8] = startUs, endUs, 0, 0 end
  if startUs > state[5] then
    state[8] = (charge.kind == 's' and startUs == state[6]) and state[7] or 0
    state[5], state[6], state[7] = startUs, endUs, 0
  end
  return true
end

-- The state of a charge's key as it is now; nil as in windowOf.
local function stateOf(charge)
  local state = states[charge.key]
  if not state then
    local packed = call('GET', charge.key)
    state = packed and { cmsgpack.unpack(packed) } or { 0, 0, 0, charge.shape }
    states[charge.key] = state
  end
  if not charge.state then
    if state[4] ~= charge.shape then
      state[4], state[5], state[6], state[7], state[8] = charge.shape, nil, nil, nil, nil
      if changed[charge.key] then changed[charge.key] = charge end
    end
    if charge.kind == 'g' then advancePaced(state)
    elseif charge.kind == 't' then advanceStrict(state, charge)
    elseif not advanceWindow(state, charge) then return nil end
  end
  charge.state = state
  return state
end

-- The part of the window before that a sliding window still covers.
local function leftOf(state, charge)
  return min(1, 1 - (nowUs - state[5]) / charge.widthUs)
end

local function available(charge)
  local state, kind = charge.state, charge.kind
  if kind == 'g' then
    return state[6] <= 0 and charge.capacity or floor(charge.capacity - state[6] / charge.widthUs + ROUNDING)
  end
  if kind == 't' then return charge.capacity - state[6] end
  if kind == 's' then return floor(charge.capacity - (state[7] + state[8] * leftOf(state, charge)) + ROUNDING) end
  return charge.capacity - state[7]
end

local function take(charge, units)
  local state, kind = charge.state, charge.kind
  if kind == 'g' then
    state[6] = state[6] + units * charge.widthUs
  elseif kind == 't' then
    local place = state[5] % RING + 1
    state[6] = state[6] + units
    state[7][place] = (state[7][place] or 0) + units
  else
    state[7] = state[7] + units
  end
end

-- Out of the oldest sub-buckets first, and none that is older than what was taken agoUs before.
local function giveStrict(state, charge, units, agoUs)
  local left = min(units, state[6])
  local age = RING - 1
  local youngest = agoUs <= 0 and 0 or max(0, state[5] - floor((nowUs - agoUs) / charge.widthUs))
  while left > 0 and age >= youngest do
    local place = (state[5] - age) % RING + 1
    local count = state[7][place] or 0
    local given = min(left, count)
    state[7][place] = count > given and count - given or nil
    state[6] = state[6] - given
    left = left - given
    age = age - 1
  end
end

-- Of a window that is over nothing is left to give back to, but to the one before in sliding.
local function giveWindow(state, charge, units, agoUs)
  local takenUs = nowUs - agoUs
  if agoUs <= 0 or takenUs >= state[5] then
    state[7] = max(0, state[7] - units)
  elseif charge.kind == 's' and takenUs >= state[5] - charge.widthUs then
    state[8] = max(0, state[8] - units)
  end
end

local function give(charge, units, agoUs)
  local state, kind = charge.state, charge.kind
  if kind == 'g' then state[6] = max(0, state[6] - units * charge.widthUs)
  elseif kind == 't' then giveStrict(state, charge, units, agoUs)
  else giveWindow(state, charge, units, agoUs) end
end

local function strictWaitUs(charge, units)
  local state = charge.state
  local missing = state[6] + units - charge.capacity
  if missing <= 0 then return 0 end
  for age = RING - 1, 0, -1 do
    missing = missing - (state[7][(state[5] - age) % RING + 1] or 0)
    if missing <= 0 then return max(0, (state[5] - age + RING) * charge.widthUs - nowUs) end
  end
  return NEVER
end

-- How far into a window the units of the one before weigh no more than room.
local function fadeUs(units, room, widthUs)
  return units <= room and 0 or widthUs * (1 - room / units)
end

local function slidingWaitUs(charge, units)
  local state, widthUs = charge.state, charge.widthUs
  local room = charge.capacity - units + WAIT_ROUNDING
  local intoUs = max(0, nowUs - state[5])
  if state[7] <= room then return max(0, fadeUs(state[8], room - state[7], widthUs) - intoUs) end
  return widthUs - intoUs + fadeUs(state[7], room, widthUs)
end

local function waitUs(charge, units)
  local state, kind = charge.state, charge.kind
  if units > charge.capacity then return NEVER end
  if available(charge) >= units then return 0 end
  if kind == 'g' then return max(0, state[6] - (charge.capacity - units + WAIT_ROUNDING) * charge.widthUs) end
  if kind == 't' then return strictWaitUs(charge, units) end
  if kind == 's' then return slidingWaitUs(charge, units) end
  return max(0, state[6] - nowUs)
end

-- Until a state is equal to none.
local function resetUs(charge)
  local state, kind = charge.state, charge.kind
  if kind == 'g' then return state[6] end
  if kind == 't' then return state[6] == 0 and 0 or (state[5] + RING) * charge.widthUs - nowUs end
  if state[7] ~= 0 then return state[6] - nowUs + (kind == 's' and charge.widthUs or 0) end
  return state[8] ~= 0 and state[6] - nowUs or 0
end

local function changedBy(charge)
  changed[charge.key] = charge
end

-- A century: a debt of any size has an end, and Redis takes no longer lives than some 290 million years.
local LIFE_MS_MAX = 3200000000000

local function writeChanged()
  for key, charge in pairs(changed) do
    local state = charge.state
    local lifeUs = max(resetUs(charge), state[1] - nowUs, state[2] > 0 and state[3] - nowUs or 0)
    if lifeUs > 0 then
      call('SET', key, cmsgpack.pack(unpack(state)), 'PX', min(ceil(lifeUs / 1000), LIFE_MS_MAX))
    else
      call('DEL', key)
    end
  end
end

-- Whole microseconds, rounded up: who comes then is not too early. 285 years are what a double counts exactly.
local function wholeUs(us)
  return min(ceil(us), 9007199254740991)
end
`;
