/**
 * Enqueues a batch, and leases behind it where somebody waits for jobs. ARGV of `addLease`: how many, leaseMs, worker;
 * then, as of `add`: per job when it is due (base 36; nothing: now) and its record without times (`record.ts`).
 * Around the jobs of a call that is done once `!`, prints of key and call, and how long it is remembered; at the end `.`
 * and nothing; where places are left out `+` and how many. Answer, a text with spaces between jobs: the id of one that is
 * new and waits; of another its id (nothing: refused), its state (or why it was refused) and 1 for a duplicate, with
 * colons between. Of `addLease`: this, and that of `lease`.
 */
import { BASE } from './lua/base.ts';
import { ENDING } from './lua/ending.ts';
import { GROUPS } from './lua/groups.ts';
import { LEASING } from './lua/leasing.ts';
import { ID_RUNS, ONCE, PRINT_CHARS } from './lua/once.ts';
import { type LuaPart, script } from './scripts.ts';

const ADDING: LuaPart = {
  keys: ['m', 'j', 'z', 'a', 'dd', 'de', 'dk'],
  text: `
local addAll
do
-- Needs memory, and so is refused where there is none: before anything has been done.
call('HINCRBY', K_m, 'enqueued', 0)
local jobsMax = needLimits().jobsMax
local live = jobsMax > 0 and tonumber(call('HGET', K_m, 'live') or 0) or 0

-- The data of a later duplicate in the place of the earlier one's.
local function replace(id, body)
  writeCreated()
  local before = call('HGET', K_j, id)
  if before then call('HSET', K_j, id, sub(before, 1, find(before, RS, 1, true) - 1) .. sub(body, (find(body, RS, 1, true)))) end
end

-- The job that this one is a duplicate of, and its state; nil: it is none.
local function original(letter, ttl, dedupId, body, dueAt)
  local held = call('HGET', K_dd, dedupId)
  if not held then return end
  local entry = split(held, US)
  local id, mode, freeAt = entry[1], entry[2], tonumber(entry[3] ~= '' and entry[3] or 0)
  if (mode == 'E' or mode == 't' and freeAt > 0) and freeAt <= now then return end
  writeCreated()
  local state = stateApart(id) or 'completed'
  if letter == 'd' then
    if state ~= 'scheduled' then return end
    replace(id, body)
    call('ZADD', K_z, now + tonumber(ttl ~= '' and ttl or 0), id)
  elseif letter == 'k' then
    if state == 'leased' then
      call('HSET', K_dk, dedupId, dueAt .. body)
    elseif mode == 'E' then
      return id, state
    else
      replace(id, body)
    end
  end
  return id, state
end

local function addOne(dueAt, body)
  local letter, ttl, dedupId
  if string.byte(body) == 31 then
    local dedup = split(sub(body, 1, find(body, RS, 1, true) - 1), US)[6] or ''
    if dedup ~= '' then letter, ttl, dedupId = match(dedup, '^(%a)(%d*):(.*)$') end
  end
  if letter then
    local id, state = original(letter, ttl, dedupId, body, dueAt)
    if id then return id, state, 1 end
    if letter == 'd' and ttl ~= '' then dueAt = base36(max(now + tonumber(ttl), tonumber(dueAt ~= '' and dueAt or '0', 36))) end
  end
  if jobsMax > 0 and live >= jobsMax then return '', 'queue_full', 0 end
  live = live + 1
  local id, state = create(body, dueAt)
  if letter then holdDedup(dedupId, id, letter, ttl) end
  return id, state, 0
end

-- One of a call that is done once.
local function addPart(dueAt, body)
  if once.isOther then return '', 'idempotency_mismatch', 0 end
  local place = (once.place or 0) + 1
  once.place = place
  once.ids = once.ids or idsOfRuns(once.runs)
  local given = once.ids[place]
  if given then
    writeCreated()
    return given, stateOf(given) or 'completed', 1
  end
  local id, state, isDuplicate = addOne(dueAt, body)
  if id ~= '' then once.ids[place], once.isNew = id, true end
  return id, state, isDuplicate
end

local function mark(sign, text)
  if sign == '.' then
    if once.isNew then once.runs = runsOfIds(once.ids, once.place) end
    endOnce()
  elseif sign == '+' then
    once.place = (once.place or 0) + tonumber(text)
  else
    beginOnce(sub(sign, 2, ${1 + PRINT_CHARS}), sub(sign, ${2 + PRINT_CHARS}), text)
  end
end

function addAll()
  local answer = {}
  for i = argument + 1, #ARGV, 2 do
    local first, second = ARGV[i], ARGV[i + 1]
    if first ~= '' and string.byte(first) < 48 then
      mark(first, second)
    else
      local id, state, isDuplicate = (once and addPart or addOne)(first, second)
      answer[#answer + 1] = state == 'waiting' and isDuplicate == 0 and id or id .. ':' .. state .. ':' .. isDuplicate
    end
  end
  writeEnded()
  return table.concat(answer, ' ')
end
end
`,
};

export const ADD = script('add', BASE, GROUPS, ENDING, ONCE, ID_RUNS, ADDING, {
  keys: [],
  text: `
local answer = addAll()
writeGroups()
writeCounters()
return answer
`,
});

export const ADD_LEASE = script('add-lease', BASE, GROUPS, ENDING, ONCE, ID_RUNS, ADDING, LEASING, {
  keys: [],
  text: `
local want, leaseMs, worker = nextNumber(), nextNumber(), nextArg()
local answer = { addAll(), lease(want, leaseMs, worker) }
writeEnded()
writeGroups()
writeCounters()
return answer
`,
});
