/**
 * What workers say of jobs at their end. ARGV: acks without a result, since those are nearly all, as one text of words
 * with spaces between: for each number of leases (`lua/batches.ts`) it and `,id:slot,…`, by slot. Then per other job:
 * what (`a` ack, `A` ack with a result, `f` fail, `F` fail for good, `r` release), id, `number:slot`; of `A` the result; of `f`
 * and `F` the error (`errorText`), retryAfterMs or nothing, and a random number of 0 … 1.
 *
 * A word that is all that is left of a batch is settled as a whole: nothing is done for each of its jobs.
 *
 * Answer: of the words their states with spaces between: `completed`, or of each job its state (or `lost`, `unknown`)
 * with commas between; nothing: all are completed. How many milliseconds their leases lasted, likewise (one number: all
 * as long; -1: there was none). Then a list, per other job id, state, when it is due or nothing, milliseconds.
 */
import type { LuaPart } from '../scripts.ts';

export const SETTLING: LuaPart = {
  keys: ['j', 's', 'a', 'b'],
  text: `
local settle
do
local function acked(id, e, h, result)
  h.used = e.attempt
  addEntry(h, entry(e, 'completed'))
  if e.cancel ~= '' then return cancelled(id, e, h) end
  finish(id, 'completed', e, h, '', result)
  return 'completed', ''
end

local function released(id, e, h)
  addEntry(h, entry(e, 'released'))
  if e.cancel ~= '' then return cancelled(id, e, h) end
  return giveBack(id, e, h)
end

local function settleOne(ask, e, slot)
  endLease(ask.id, e, slot)
  local isAck = ask.what == 'a' or ask.what == 'A'
  if isAck and e.isPlain then
    finishPlain(ask.id, slot, e, ask.result)
    return 'completed', ''
  end
  local h = historyOf(e.past == '1' and call('HGET', K_s, ask.id))
  if isAck then return acked(ask.id, e, h, ask.result) end
  if ask.what == 'r' then return released(ask.id, e, h) end
  return failed(ask.id, e, h, ask.what == 'F', ask.retryAfterMs, ask.random, 'failed', ask.error)
end

local function nextSettlement()
  local ask = { what = nextArg(), id = nextArg(), token = nextArg() }
  if ask.what == 'A' then
    ask.result = nextArg()
  elseif ask.what == 'f' or ask.what == 'F' then
    ask.error, ask.retryAfterMs, ask.random = nextArg(), nextNumber(), nextNumber()
  end
  return ask
end

local isOver = {}
local function tookOf(e)
  e.tookMs = e.tookMs or now - tonumber(e.startedAt)
  return e.tookMs
end
local function refused(id) return call('HEXISTS', K_j, id) == 1 and 'lost' or 'unknown', '', -1 end

-- @param lease - Of the job alone; nothing: there is none. @return State, due, milliseconds.
local function settleAlone(ask, lease)
  if not lease or isOver[ask.id] then return refused(ask.id) end
  local e, token = leaseOf(lease)
  if token ~= ask.token then return refused(ask.id) end
  isOver[ask.id] = true
  local state, due = settleOne(ask, e, '')
  return state, due, tookOf(e)
end

-- Leases of jobs alone, by id.
local function readAlone(numbers, words)
  local ids, leases = {}, {}
  for at, number in ipairs(numbers) do
    if not batchAt or not batchAt(number) then
      for id in gmatch(words[at], ',(%d+)') do ids[#ids + 1] = id end
    end
  end
  for at, lease in ipairs(texts(K_a, ids)) do leases[ids[at]] = lease end
  return leases
end

-- Those of a word that are not in its batch, if there is one at all, are leased alone or not at all.
local function settleWord(number, jobs, leases)
  local batch, tookMs, ask = batchAt and batchAt(number), -1, { what = 'a' }
  if batch and batch.ids == jobs then
    local e = leaseIn(batch, match(jobs, ':(%d+)'))
    finishBatch(batch, e)
    endBatch(batch)
    return 'completed', tookOf(e)
  end
  local states, areAllCompleted = {}, true
  for id, slot in gmatch(jobs, ',(%d+):(%d+)') do
    local state, ms, _ = 'completed', -1, nil
    if batch and isIn(batch, id, slot) then
      local e = leaseIn(batch, slot)
      endLease(id, e, slot)
      finishPlain(id, slot, e)
      ms = tookOf(e)
    else
      ask.id, ask.token = id, number .. ':' .. slot
      state, _, ms = settleAlone(ask, batch and call('HGET', K_a, id) or leases[id])
    end
    states[#states + 1] = state
    if state ~= 'completed' then areAllCompleted = false end
    tookMs = max(tookMs, ms)
  end
  return areAllCompleted and 'completed' or table.concat(states, ','), tookMs
end

local function settleAcks(text)
  local numbers, words, states, tooks = {}, {}, {}, {}
  for number, jobs in gmatch(text, '(%d+)(%S+)') do
    local at = #numbers + 1
    numbers[at], words[at] = number, jobs
  end
  if batchAt then readBatches(numbers) end
  local areAllCompleted, areAllAlike, leases = true, true, readAlone(numbers, words)
  for at, number in ipairs(numbers) do
    states[at], tooks[at] = settleWord(number, words[at], leases)
    if states[at] ~= 'completed' then areAllCompleted = false end
    if tooks[at] ~= tooks[1] then areAllAlike = false end
  end
  return areAllCompleted and '' or table.concat(states, ' '), areAllAlike and tostring(tooks[1] or -1) or table.concat(tooks, ' ')
end

local function settleOthers(rest)
  local asks, numbers, ids, leases = {}, {}, {}, {}
  while argument < #ARGV do
    local ask = nextSettlement()
    asks[#asks + 1], numbers[#numbers + 1] = ask, match(ask.token, '^(%d+):')
  end
  if batchAt then readBatches(numbers) end
  -- What is leased in batches is not looked for elsewhere.
  for _, ask in ipairs(asks) do
    if batchAt then ask.batch, ask.slot = heldIn(ask.id, ask.token) end
    if not ask.batch then ids[#ids + 1] = ask.id end
  end
  for at, lease in ipairs(texts(K_a, ids)) do leases[ids[at]] = lease end
  for _, ask in ipairs(asks) do
    local state, due, tookMs
    if not ask.batch then
      state, due, tookMs = settleAlone(ask, leases[ask.id])
    elseif ask.batch.away[ask.slot] then
      -- Named twice.
      state, due, tookMs = refused(ask.id)
    else
      local e = leaseIn(ask.batch, ask.slot)
      state, due = settleOne(ask, e, ask.slot)
      tookMs = tookOf(e)
    end
    push(rest, ask.id, state)
    push(rest, due, tookMs)
  end
end

function settle()
  if call('EXISTS', K_b) == 1 then useBatches() end
  local states, tooks = settleAcks(nextArg())
  local rest = {}
  if argument < #ARGV then settleOthers(rest) end
  writeLeases()
  writeGivenBack()
  return { states, tooks, rest }
end
end
`,
};
