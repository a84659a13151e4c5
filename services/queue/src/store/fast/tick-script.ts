/**
 * Does what time brings. ARGV: a random number of 0 … 1. Answer: milliseconds until the next thing is due (-1: nothing
 * is; 0: there was more than one call does), then lists: promoted (id, lateness in ms), stalled (id, state), timed out
 * (id, state), expired (id).
 */
import { ATTEMPTS } from './lua/attempts.ts';
import { BASE } from './lua/base.ts';
import { ENDING } from './lua/ending.ts';
import { GROUPS } from './lua/groups.ts';
import { LEASING } from './lua/leasing.ts';
import { ONCE } from './lua/once.ts';
import { script } from './scripts.ts';

/** Of each kind: together they keep Redis for less than 10 ms. */
const MOVES_MAX = 500;
/** After the second stall a job rests up to so long, after each next one up to twice as long. */
const REST_MS = 1_000;
const REST_MAX_MS = 60_000;

export const TICK = script('tick', BASE, GROUPS, ENDING, ATTEMPTS, LEASING, ONCE, {
  keys: ['m', 'j', 's', 'z', 'y', 'a', 'l', 't', 'c', 'd', 'x', 'dd', 'de', 'gz', 'f'],
  text: `
even()
local MOVES, REST, REST_MAX, random = ${MOVES_MAX}, ${REST_MS}, ${REST_MAX_MS}, nextNumber()
local promoted, stalled, timedOut, expired, isMore = {}, {}, {}, {}, false
needLimits()

local function due(key, withScores)
  local list = withScores and call('ZRANGEBYSCORE', key, '-inf', now, 'WITHSCORES', 'LIMIT', 0, MOVES)
    or call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, MOVES)
  if #list >= (withScores and 2 or 1) * MOVES then isMore = true end
  return list
end

local promote, reap, expireDue
do
-- Each reaped attempt has a random number of its own, as even as the golden ratio makes them.
local function nextRandom()
  random = (random + 0.6180339887498949) % 1
  return random
end

function promote(key)
  local list, ids = due(key, true), {}
  if not list[1] then return end
  for i = 1, #list, 2 do ids[#ids + 1] = list[i] end
  remove('ZREM', key, ids)
  for i, record in ipairs(texts(K_j, ids)) do
    if record then
      local job = machineOf(record)
      append(job.group, ids[i], job.priority)
      count('waiting', 1)
      push(promoted, ids[i], now - tonumber(list[2 * i]))
    end
  end
end

-- Whoever was in the hands of a worker that died stalls with the job that killed it. If all of them came back at once
-- they would be taken together again, and die together: so from the second time on each rests for a while of its own.
local function stall(id, e, h)
  count('stalled', 1)
  h.stalls = h.stalls + 1
  addEntry(h, entry(e, 'stalled'))
  if e.cancel ~= '' then return cancelled(id, e, h) end
  if h.stalls > limits.maxStalls then
    finish(id, 'dead', e, h, 'stalled')
    return 'dead'
  end
  if h.stalls == 1 then return giveBack(id, e, h) end
  return (later(id, h, now + floor(nextRandom() * min(REST_MAX, REST * 2 ^ (h.stalls - 2)))))
end

local function reapOne(id, e, h, slot)
  endLease(id, e, slot)
  local timeoutMs = policyOf(e.policy).timeoutMs
  if timeoutMs > 0 and now >= tonumber(e.startedAt) + timeoutMs then
    local error = 'timeout' .. US .. 'the attempt ran longer than ' .. timeoutMs .. ' ms' .. US .. '-'
    push(timedOut, id, (failed(id, e, h, false, nil, nextRandom(), 'timed-out', error)))
  else
    push(stalled, id, (stall(id, e, h)))
  end
end

local function reapBatch(number)
  local batch = batchAt(number)
  if not batch then return end
  for id, slot in gmatch(batch.ids, ',(%d+):(%d+)') do
    reapOne(id, leaseIn(batch, slot), historyOf(), slot)
  end
end

-- @return How many of these members that is: one of a batch is all of it.
local function membersOf(members)
  local jobs = 0
  for at, member in ipairs(members) do
    local number = match(member, '^b(%d+)$')
    jobs = jobs + (number and batchAt(number) and batchAt(number).left or 1)
    if jobs >= MOVES then return at end
  end
  return #members
end

function reap()
  local members = due(K_l)
  if not members[1] then return end
  useBatches()
  local most = membersOf(members)
  if most < #members then isMore = true end
  local leases, pasts = texts(K_a, members), texts(K_s, members)
  for i = 1, most do
    local member = members[i]
    local number = match(member, '^b(%d+)$')
    if leases[i] then
      reapOne(member, (leaseOf(leases[i])), historyOf(pasts[i]))
    elseif number then
      reapBatch(number)
    else
      call('ZREM', K_l, member)
    end
  end
  writeLeases()
  writeGivenBack()
end

function expireDue()
  local ids = due(K_t)
  if not ids[1] then return end
  remove('ZREM', K_t, ids)
  local records, pasts, leases = texts(K_j, ids), texts(K_s, ids), texts(K_a, ids)
  for i, id in ipairs(ids) do
    if records[i] and not pasts[i] and not leases[i] and stateApart(id) ~= 'waiting-children' then
      if call('ZREM', K_z, id) == 0 then
        void(id)
        count('waiting', -1)
      end
      count('expired', 1)
      finish(id, 'dead', machineOf(records[i]), historyOf(), 'expired')
      expired[#expired + 1] = id
    end
  end
end
end
local function forgetDue(key)
  local members = due(key)
  if not members[1] then return end
  usePieces()
  local _, whole = forgetOldest(key, members, MOVES, false)
  if whole < #members then isMore = true end
end

local function freeDue()
  local ids = due(K_de)
  if ids[1] then
    remove('ZREM', K_de, ids)
    remove('HDEL', K_dd, ids)
  end
end

if wakeGroups() >= 100 then isMore = true end
reap()
expireDue()
promote(K_y)
promote(K_z)
freeDue()
if forgetOnce(MOVES) then isMore = true end
writeEnded()
forgetDue(K_c)
forgetDue(K_d)
forgetDue(K_x)
forgetGone()
writeGroups()
writeCounters()
local nextMs = isMore and 0 or nextIn({ K_z, K_y, K_l, K_t, K_gz, K_de, K_c, K_d, K_x }, NONE)
return { nextMs, promoted, stalled, timedOut, expired }
`,
});
