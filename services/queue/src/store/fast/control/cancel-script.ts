/**
 * Cancels. ARGV: reason (escaped), ids. What waits in any way is cancelled at once; of what is leased it is noted, for
 * the first reason. Answers per id: its state now, or nothing.
 */
import { BASE } from '../lua/base.ts';
import { ENDING } from '../lua/ending.ts';
import { GROUPS } from '../lua/groups.ts';
import { script } from '../scripts.ts';

export const CANCEL = script('cancel', BASE, GROUPS, ENDING, {
  keys: ['j', 's', 'z', 'y', 'a', 'l'],
  text: `
even()
useBatches()
local reason = nextArg()
local function marked(e)
  -- What was read may be that of other leases too.
  local copy = {}
  for name, value in pairs(e) do copy[name] = value end
  copy.cancel = '-' .. reason
  return copy
end
local function cancelLease(id)
  local text = call('HGET', K_a, id)
  if text then
    local e, token = leaseOf(text)
    if e.cancel == '' then call('HSET', K_a, id, leaseText(token, marked(e))) end
  else
    local batch, slot = batchOf(id)
    takeOut(batch, id, slot, marked(leaseIn(batch, slot)), call('ZSCORE', K_l, 'b' .. batch.number))
  end
end

local function cancel(id)
  local state = stateOf(id)
  if state == 'leased' then
    cancelLease(id)
  elseif state == 'waiting-children' then
    endParent(id, 'cancelled', reason)
  elseif state == 'waiting' or state == 'scheduled' or state == 'retrying' then
    if state == 'waiting' then
      void(id)
      count('waiting', -1)
    else
      call('ZREM', state == 'scheduled' and K_z or K_y, id)
    end
    finish(id, 'cancelled', machineOf(call('HGET', K_j, id)), historyOf(call('HGET', K_s, id)), reason)
  else
    return state or ''
  end
  writeEnded()
  return state == 'leased' and state or 'cancelled'
end

local answer = {}
while argument < #ARGV do answer[#answer + 1] = cancel(nextArg()) end
writeBatches()
writeGroups()
writeCounters()
return answer
`,
});
