/** Brings back to the waiting what is dead, scheduled or retrying. */
import { BASE } from '../lua/base.ts';
import { ENDING } from '../lua/ending.ts';
import { GROUPS } from '../lua/groups.ts';
import { script } from '../scripts.ts';
import { FILTER } from '../views/filter-part.ts';

/**
 * From `dead`, the oldest first. ARGV: how many of the oldest to pass over, how many to look at, how many to bring back,
 * and a filter; then ids, if none but these are meant. Answers: how many were looked at, ids.
 */
export const REDRIVE = script('redrive', BASE, GROUPS, ENDING, FILTER, {
  keys: ['j', 's', 'd', 'dd', 'de'],
  text: `
even()
local skip, budget, want = nextNumber(), nextNumber(), nextNumber()
readFilter()

-- Its parent has heard of its end already: the link becomes one that tells nothing any more.
local function silence(id, record, parent)
  local at = find(record, RS, 1, true)
  local silent = string.upper(sub(parent, 1, 1)) .. sub(parent, 2)
  call('HSET', K_j, id, sub(record, 1, at - 1 - #parent) .. silent .. sub(record, at))
end

-- It is not finished any more, and so holds its dedup id again, if nobody else does.
local function holdAgain(id, dedup)
  local letter, dedupId = match(dedup, '^([sk])%d*:(.*)$')
  if not letter then return end
  local entry = split(call('HGET', K_dd, dedupId) or id, US)
  if entry[1] ~= id then return end
  call('HSET', K_dd, dedupId, id .. US .. letter .. US .. (entry[3] or ''))
  call('ZREM', K_de, dedupId)
end

local function redrive(id, record)
  local job, h = machineOf(record), historyOf(call('HGET', K_s, id))
  h.used, h.stalls, h.dueAt, h.finishedAt, h.reason = 0, 0, nowText, '', ''
  keepHistory(id, h)
  if job.dedup ~= '' then holdAgain(id, job.dedup) end
  if job.parent ~= '' then silence(id, record, job.parent) end
  append(job.group, id, job.priority)
end

-- Each once, whoever named it twice.
local function namedDead()
  local named, seen, id = {}, {}, nextArg()
  if not id then return nil end
  while id do
    if not seen[id] and call('ZSCORE', K_d, id) then named[#named + 1] = id end
    seen[id] = true
    id = nextArg()
  end
  return named
end

local looked, ids, isLive = 0, {}, {}
local oldest = namedDead() or call('ZRANGE', K_d, skip, skip + budget - 1)
for at, record in ipairs(texts(K_j, oldest)) do
  looked = looked + 1
  if record and isMeant(record) then
    redrive(oldest[at], record)
    ids[#ids + 1] = oldest[at]
  end
  if #ids >= want then break end
end
remove('ZREM', K_d, ids)
count('waiting', #ids)
count('live', #ids)
writeEnded()
writeGroups()
writeCounters()
return { looked, ids }
`,
});

/** ARGV: id. Answers 1 when it was scheduled or retrying, and waits now. */
export const PROMOTE = script('promote', BASE, GROUPS, ENDING, {
  keys: ['j', 'z', 'y'],
  text: `
even()
local id = nextArg()
if call('ZREM', K_z, id) + call('ZREM', K_y, id) == 0 then return 0 end
local record = call('HGET', K_j, id)
local job = machineOf(record)
dueNow(id, record)
append(job.group, id, job.priority)
count('waiting', 1)
writeEnded()
writeGroups()
writeCounters()
return 1
`,
});
