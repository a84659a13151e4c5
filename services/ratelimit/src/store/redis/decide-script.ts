/**
 * Asks of any kind, decided one after the other; each takes all of its charges or none.
 *
 * KEYS: one per charge, in order. ARGV of an ask: mode (take, look, debit), number of charges, then the charges as
 * `state-lua.ts` says. Answer per charge, flat: 1 allowed, 0 denied or 2 blocked; remaining; microseconds to wait (of an
 * allowed one for its turn, of a denied one until it may come again, -1 never); resetUs. A single -1 and the server's
 * time in milliseconds: the calendar of the caller is not the server's, and nothing was decided.
 */
import { script } from './script.ts';
import { STATE_LUA } from './state-lua.ts';

export const DECIDE = script(
  'decide',
  STATE_LUA,
  `
-- The denial that is one too many brings the block, and says so.
local function countDenial(charge)
  local state, penalty = charge.state, charge.penalty
  if state[3] <= nowUs then state[2], state[3] = 0, nowUs + penalty.withinUs end
  state[2] = state[2] + 1
  if state[2] >= penalty.denials then state[1], state[2], state[3] = nowUs + penalty.blockUs, 0, 0 end
  changedBy(charge)
end

-- before: units that charges weighed earlier take, by key.
local function weigh(charge, before, mode)
  local state, units = charge.state, (before[charge.key] or 0) + charge.cost
  if state[1] <= nowUs and units <= available(charge) then
    charge.code, charge.waitUs = 1, 0
    if charge.isQueue then charge.waitUs = state[6] + (units - charge.cost) * charge.widthUs end
    return
  end
  if charge.penalty and mode == 'take' and state[1] <= nowUs then countDenial(charge) end
  if state[1] > nowUs then charge.code, charge.waitUs = 2, state[1] - nowUs
  else charge.code, charge.waitUs = 0, waitUs(charge, units) end
end

-- Shadows are weighed after all others, for they come into play only behind them.
local function decide(mode, charges)
  local before, isAllowed = {}, true
  for _, charge in ipairs(charges) do
    if not charge.isShadow then
      weigh(charge, before, mode)
      before[charge.key] = (before[charge.key] or 0) + charge.cost
      if charge.code ~= 1 then isAllowed = false end
    end
  end
  for _, charge in ipairs(charges) do
    if charge.isShadow then
      weigh(charge, before, mode)
      if charge.code == 1 then before[charge.key] = (before[charge.key] or 0) + charge.cost end
    end
  end
  for _, charge in ipairs(charges) do
    local isTaken = mode == 'debit' or mode == 'take' and isAllowed and charge.code == 1
    if isTaken and charge.cost > 0 then
      take(charge, charge.cost)
      changedBy(charge)
    end
  end
end

local answer, keys = {}, 0
while argument <= #ARGV do
  local mode, charges = nextText(), {}
  for i = 1, nextNumber() do
    keys = keys + 1
    charges[i] = nextCharge(KEYS[keys])
    if not stateOf(charges[i]) then return { -1, floor(nowUs / 1000) } end
  end
  decide(mode, charges)
  for _, charge in ipairs(charges) do
    local n = #answer
    answer[n + 1] = charge.code
    answer[n + 2] = charge.code == 2 and 0 or max(0, available(charge))
    answer[n + 3] = wholeUs(charge.waitUs)
    answer[n + 4] = wholeUs(charge.code == 2 and max(resetUs(charge), charge.waitUs) or resetUs(charge))
  end
end
writeChanged()
return answer
`,
);
