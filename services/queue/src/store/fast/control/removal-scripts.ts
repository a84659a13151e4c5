/**
 * Takes jobs away, a batch a call, so that no call keeps Redis for long.
 *
 * A child that is taken away is no longer waited for: to its parent that is as if it had been cancelled.
 */
import { KEY_NAMES } from '../keys.ts';
import { BASE } from '../lua/base.ts';
import { ENDING } from '../lua/ending.ts';
import { GROUPS } from '../lua/groups.ts';
import { type LuaPart, script } from '../scripts.ts';

/** `takeAway(ids)`: jobs that have not ended, and whose ids are in no place any more. */
const TAKE_AWAY: LuaPart = {
  keys: ['j', 't'],
  text: `
local function takeAway(ids)
  if not ids[1] then return end
  -- Parents hear of it in the order in which their children came, whatever they waited for and in which group.
  table.sort(ids, function(one, other) return tonumber(one) < tonumber(other) end)
  for at, record in ipairs(texts(K_j, ids)) do
    if record and string.byte(record, 9) ~= 30 then
      local job = machineOf(record)
      if job.dedup ~= '' then freeDedup(ids[at], job.dedup) end
      if job.parent ~= '' then flowEnded(ids[at], job.parent, 'cancelled') end
    end
  end
  count('live', -#ids)
  remove('ZREM', K_t, ids)
  forget(ids)
  writeEnded()
end
`,
};

/** ARGV: where the scan of groups goes on, how many at most. Answers: how many went, where to go on (0: that was all). */
export const DRAIN_WAITING = script('drainWaiting', BASE, GROUPS, ENDING, TAKE_AWAY, {
  keys: ['g'],
  text: `
even()
local from, budget = nextArg(), nextNumber()
local scanned = call('HSCAN', K_g, from, 'COUNT', 100)
local ids, behind = {}, scanned[1]
for at = 1, #scanned[2], 2 do
  local g = group(scanned[2][at])
  while #ids < budget do
    local id = pop(g)
    if not id then break end
    ids[#ids + 1] = id
  end
end
-- Some may be left of these groups.
if #ids >= budget then behind = from end
count('waiting', -#ids)
takeAway(ids)
writeGroups()
writeCounters()
return { #ids, behind }
`,
});

/** ARGV: scheduled or retrying, how many at most. Answers how many went. */
export const DRAIN_LATER = script('drainLater', BASE, GROUPS, ENDING, TAKE_AWAY, {
  keys: ['z', 'y'],
  text: `
even()
local key, budget = nextArg() == 'scheduled' and K_z or K_y, nextNumber()
local ids = call('ZRANGE', key, 0, budget - 1)
remove('ZREM', key, ids)
takeAway(ids)
writeGroups()
writeCounters()
return #ids
`,
});

/**
 * ARGV: completed, dead or cancelled, how many about. Answers how many went: fewer than that, and none is left. What was
 * completed together goes together.
 */
export const PURGE = script('purge', BASE, GROUPS, ENDING, {
  keys: ['c', 'd', 'x'],
  text: `
even()
usePieces()
local key, budget = SETS[nextArg()], nextNumber()
local taken = forgetOldest(key, call('ZRANGE', key, 0, budget - 1), budget, false)
forgetGone()
writeCounters()
return taken
`,
});

/** ARGV: 1 to do it in spite of leases. Answers 1 when it is done. Redis frees the memory by and by. */
export const REMOVE = script('remove', BASE, {
  keys: KEY_NAMES,
  text: `
if nextArg() ~= '1' and call('EXISTS', K_a, K_b) > 0 then return 0 end
call('UNLINK', unpack(KEYS))
return 1
`,
});
