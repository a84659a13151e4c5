/**
 * Leases: how many there may be now, who is served (`lua/serving.ts`), and what is written of them. Plain jobs are leased
 * as a batch (`lua/batches.ts`) where there are enough of them, the others each by itself.
 *
 * - `lease(want, leaseMs, worker)`: as `turn-script.ts` says.
 * - `wakeGroups()`: those whose time has come. `nextIn(keys, earliest)`: when something is due next.
 */
import type { LuaPart } from '../scripts.ts';
import { BATCH_LEAST, BATCH_SLOTS, BATCHES_MAX } from './batches.ts';
import { SERVING } from './serving.ts';

/** To make a text of a number costs Lua more than to have it at hand. */
const SLOT_TEXTS = Array.from({ length: BATCH_SLOTS }, (_, slot) => `':${slot},'`).join();

export const LEASING: LuaPart = {
  keys: ['m', 'j', 's', 'a', 'l', 'b', 't', 'z', 'y', 'ring', 'gz'],
  text: `
-- Records are read in rounds of so many, and an answer with so many bytes is complete: with the largest data that is a
-- round of 32 MiB, and not 1,000 jobs of 256 KiB at once.
local ROUND, ROUNDS_MAX, BYTES_MAX = ${BATCH_SLOTS}, 16, 4194304
local bytes = 0
local SMALL, BAR = 16, string.rep('-', 65)
local BATCH_LEAST, BATCHES_MAX = ${BATCH_LEAST}, ${BATCHES_MAX}
-- So many rounds would have to be leased in each millisecond for tokens to outrun the clock that they begin with.
local NUMBERS_PER_MS = 16

${SERVING.text}
-- Tokens of the queue as a whole.
local bucket
local function queueTokens()
  if bucket then return bucket end
  local tokens, at = match(call('HGET', K_m, 'bucket') or '-1 0', '^(%S+) (%S+)')
  bucket = tokensNow(tonumber(tokens), tonumber(at), limits)
  return bucket
end

local function leasedNow() return call('HLEN', K_a) + countNow('batched') end
local function room(want)
  if limits.concurrency > 0 then want = min(want, limits.concurrency - leasedNow()) end
  if limits.rate > 0 then want = min(want, floor(queueTokens())) end
  return want
end

local function putBack(g)
  g.running = g.running - 1
  if groupLimits(g).rate > 0 then g.tokens = g.tokens + 1 end
end

local function expire(id, job)
  count('waiting', -1)
  count('expired', 1)
  call('ZREM', K_t, id)
  finish(id, 'dead', job, historyOf(), 'expired')
end

local leasePicked
do
-- The policy of a job that may be leased in a batch; false: it may not. By what stands behind the time at which it was
-- enqueued, and that is the same for nearly all.
local plainPolicies = {}
local function plainPolicy(record)
  local byte = string.byte(record, 9)
  if byte == 30 then return '' end
  if byte ~= 31 then return false end
  local head = sub(record, 9, find(record, RS, 9, true))
  local policy = plainPolicies[head]
  if policy == nil then
    local job = machineOf(record)
    policy = job.expiresAt == '' and job.dedup == '' and job.parent == '' and policyOf(job.policy).timeoutMs == 0
      and job.policy
    plainPolicies[head] = policy
  end
  return policy
end

local function leaseTextOf(token, past, g, job, worker)
  local h = historyOf(past)
  return leaseText(token, { attempt = h.used + 1, stalls = h.stalls, startedAt = nowText, worker = worker,
    group = g.name, policy = job.policy, dedup = job.dedup, parent = job.parent, cancel = '', past = past and '1' or '' })
end

-- @param plain - Slot, group, slot, group …
local function writeBatch(number, ids, plain, policy, untilText, worker)
  local jobs, places, names, bytesOf, slots, texts = {}, {}, {}, {}, #plain / 2, { ${SLOT_TEXTS} }
  for at = 1, #plain, 2 do
    local slot, name = plain[at], plain[at + 1].name
    jobs[#jobs + 1] = ids[slot + 1] .. texts[slot + 1]
    local place = places[name]
    if not place then
      place = #names + 1
      names[place], places[name] = name, place
    end
    bytesOf[slot] = place
  end
  local map = {}
  if names[2] then
    for slot = 0, plain[#plain - 1] do map[slot + 1] = string.char(47 + (bytesOf[slot] or 1)) end
  end
  call('HSET', K_b, number, batchText({ startedAt = nowText, worker = worker, policy = policy, left = slots,
    groups = table.concat(names, US), map = table.concat(map), ids = ',' .. table.concat(jobs) }))
  call('ZADD', K_l, untilText, 'b' .. number)
  count('batched', slots)
end

-- @param leases - Id, text, id, text …
local function writeAlone(leases, ends)
  -- Redis keeps small sorted sets and hashes in a form that is gone through from its start: 100 additions cost 200
  -- microseconds instead of 40. What has ever had a long member is not kept so, until it is empty.
  local isEmpty = #leases > 2 * SMALL and call('EXISTS', K_l) == 0
  if isEmpty then
    call('ZADD', K_l, 0, BAR)
    call('HSET', K_a, BAR, '')
  end
  writePairs('HSET', K_a, leases)
  writePairs('ZADD', K_l, ends)
  if isEmpty then
    call('ZREM', K_l, BAR)
    call('HDEL', K_a, BAR)
  end
end

-- The number of the leases of one round: tokens of a queue that was removed and made anew are greater than before.
local function nextNumberOfLeases()
  local number = call('HINCRBY', K_m, 'token', 1)
  if number == 1 then number = call('HINCRBY', K_m, 'token', now * NUMBERS_PER_MS) end
  return string.format('%.0f', number)
end

-- Of all that was picked and is there: ids and records, those for a batch (slots and groups), what is special of others.
local function sortPicked(picked, leaseMs, worker, number)
  local all, out = {}, { ids = {}, records = {}, plain = {}, special = {}, leases = {}, ends = {} }
  for i = 1, #picked, 2 do all[#all + 1] = picked[i] end
  local records, pasts, untilText, slot = texts(K_j, all), texts(K_s, all), tostring(now + leaseMs), 0
  for i, id in ipairs(all) do
    local g, record, past, isTaken = picked[2 * i], records[i], pasts[i], true
    local policy = record and not past and plainPolicy(record)
    if policy and (out.policy or policy) == policy then
      out.policy = policy
      push(out.plain, slot, g)
    elseif not record then
      putBack(g)
      isTaken = false
    else
      local job, endText = machineOf(record), untilText
      local timeoutMs = policyOf(job.policy).timeoutMs
      if timeoutMs > 0 and timeoutMs < leaseMs then endText = tostring(now + timeoutMs) end
      if job.expiresAt ~= '' and not past and tonumber(job.expiresAt, 36) <= now then
        putBack(g)
        expire(id, job)
        isTaken = false
      else
        if job.expiresAt ~= '' then call('ZREM', K_t, id) end
        push(out.leases, id, leaseTextOf(number .. ':' .. slot, past, g, job, worker))
        push(out.ends, endText, id)
        if past or endText ~= untilText then
          push(out.special, slot, endText)
          out.special[#out.special + 1] = past or ''
        end
      end
    end
    if isTaken then
      slot = slot + 1
      out.ids[slot], out.records[slot] = id, record
      bytes = bytes + #record
    end
  end
  return out, untilText
end

-- Adds a round to the answer: number, end of the leases, ids with commas between, how many are special, of each of these
-- slot, end of the lease, history; all records. Jobs that are gone or expired are left out.
function leasePicked(picked, leaseMs, worker, answer)
  local number = nextNumberOfLeases()
  local out, untilText = sortPicked(picked, leaseMs, worker, number)
  local ids, plain = out.ids, out.plain
  if #ids == 0 then return 0 end
  if #plain >= 2 * BATCH_LEAST and call('HLEN', K_b) < BATCHES_MAX then
    writeBatch(number, ids, plain, out.policy, untilText, worker)
  else
    local job = { policy = out.policy, dedup = '', parent = '' }
    for at = 1, #plain, 2 do
      local id = ids[plain[at] + 1]
      push(out.leases, id, leaseTextOf(number .. ':' .. plain[at], false, plain[at + 1], job, worker))
      push(out.ends, untilText, id)
    end
  end
  if out.leases[1] then writeAlone(out.leases, out.ends) end
  push(answer, number, untilText)
  push(answer, table.concat(ids, ','), #out.special / 3)
  for _, part in ipairs(out.special) do answer[#answer + 1] = part end
  for _, record in ipairs(out.records) do answer[#answer + 1] = record end
  count('waiting', -#ids)
  if limits.rate > 0 then bucket = bucket - #ids end
  return #ids
end
end
-- Groups whose time has come; those without anything to do are written again, and forgotten.
local function wakeGroups()
  local names = call('ZRANGEBYSCORE', K_gz, '-inf', now, 'LIMIT', 0, 100)
  for _, name in ipairs(names) do
    call('ZREM', K_gz, name)
    local g = group(name)
    if g.where == 'z' then wake(g) end
  end
  return #names
end

local function dueIn(key, earliest)
  local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return head[1] and min(earliest, tonumber(head[2])) or earliest
end

local NONE = 2 ^ 53
-- Milliseconds until one of these has something due; -1: nothing.
local function nextIn(keys, earliest)
  for _, key in ipairs(keys) do earliest = dueIn(key, earliest) end
  return earliest == NONE and -1 or max(0, math.ceil(earliest - now))
end

local function lease(want, leaseMs, worker)
  local known = call('HMGET', K_m, 'paused', 'limits')
  local isPaused = known[1] == '1'
  if not limits then readLimits(known[2]) end
  if isPaused then return { 1, -1, '' } end
  local jobs, leased, dueMs = {}, 0, -1
  wakeGroups()
  for _ = 1, ROUNDS_MAX do
    local may = room(min(want - leased, ROUND))
    local picked = may > 0 and pick(may) or {}
    if not picked[1] then break end
    leased = leased + leasePicked(picked, leaseMs, worker, jobs)
    if leased >= want or bytes >= BYTES_MAX then break end
  end
  if limits.rate > 0 and bucket then call('HSET', K_m, 'bucket', bucket .. ' ' .. now) end
  if bytes >= BYTES_MAX then
    dueMs = 0
  elseif leased < want then
    local earliest = NONE
    if limits.rate > 0 and bucket < 1 then earliest = now + (1 - bucket) * 1000 / limits.rate end
    dueMs = nextIn({ K_z, K_y, K_gz }, earliest)
  end
  -- One text: to read hundreds of small ones out of a reply costs more than all the rest of them.
  return { 0, dueMs, table.concat(jobs, FS) }
end
`,
};
