/**
 * What is done to states besides deciding: `give` back, `block` for a while, and `grant`, which lends units.
 *
 * KEYS: one per charge. ARGV: what to do, its two numbers (block: microseconds; grant: units wanted, share of what is
 * there), then the charges as `state-lua.ts` says, each of `give` with the microseconds since it was taken behind it.
 * Answer of `give`: per charge remaining and resetUs; of `block` nothing; of `grant` units, remaining, retryAfterUs (-1:
 * never), resetUs, lifeUs (-1: endless). -1 and a time as in `decide-script.ts`.
 */
import { script } from './script.ts';
import { STATE_LUA } from './state-lua.ts';

export const AMEND = script(
  'amend',
  STATE_LUA,
  `
local deeds, given, answer = {}, {}, {}

function deeds.give(charge)
  give(charge, charge.cost, nextNumber())
  given[#given + 1] = charge
end

function deeds.block(charge, forUs)
  local state = charge.state
  state[1], state[2], state[3] = forUs > 0 and nowUs + forUs or 0, 0, 0
end

-- Units of a stretch of time that is over would be used in one that others use whole.
local function lifeUs(charge)
  if charge.kind == 'g' then return NEVER end
  if charge.kind == 't' then return (charge.state[5] + 1) * charge.widthUs - nowUs end
  return charge.state[6] - nowUs
end

function deeds.grant(charge, want, share)
  local blockedUs = max(0, charge.state[1] - nowUs)
  local free = blockedUs > 0 and 0 or max(0, available(charge))
  local units = floor(max(0, min(want, free, max(1, share * free))))
  take(charge, units)
  local retryUs = units > 0 and 0 or blockedUs > 0 and blockedUs or waitUs(charge, 1)
  local left = blockedUs > 0 and 0 or max(0, available(charge))
  answer = { units, left, wholeUs(retryUs), wholeUs(max(resetUs(charge), blockedUs)), floor(lifeUs(charge)) }
end

local deed, first, second = deeds[nextText()], nextNumber(), nextNumber()
for _, key in ipairs(KEYS) do
  local charge = nextCharge(key)
  if not stateOf(charge) then return { -1, floor(nowUs / 1000) } end
  deed(charge, first, second)
  changedBy(charge)
end
for _, charge in ipairs(given) do
  answer[#answer + 1] = max(0, available(charge))
  answer[#answer + 1] = wholeUs(resetUs(charge))
end
writeChanged()
return answer
`,
);
