/**
 * How an attempt ends otherwise than well: again later, again at once, or never.
 *
 * - `endLease(id, lease, slot)`: the lease is over; comes first. `endBatch(batch)`: all of a batch. `writeLeases()` writes
 *   that.
 * - `entry(lease, outcome, error)`: the attempt as a line of the history.
 * - `failed(id, lease, history, isFinal, retryAfterMs, random, outcome, error)`: an attempt that counts. @returns State, due.
 * - `later(id, history, due)`: waits until then. @returns State, due.
 * - `giveBack(id, lease, history)`: to the head of its group; `writeGivenBack()` writes that.
 */
import type { LuaPart } from '../scripts.ts';

/** Attempts of one job that are kept to be looked at. */
const ENTRIES_MAX = 20;

export const ATTEMPTS: LuaPart = {
  keys: ['s', 'a', 'l', 'y'],
  text: `
local endedLeases, retries, givenBack, backGroups = {}, {}, {}, {}

local function endLease(id, e, slot)
  if e.batch then drop(e.batch, slot) else endedLeases[#endedLeases + 1] = id end
  ended(e.group, 1)
end

local function endBatch(batch)
  if batch.map == '' then
    ended(batch.groups, batch.left)
  else
    for slot in gmatch(batch.ids, ':(%d+)') do ended(leaseIn(batch, slot).group, 1) end
  end
  dropAll(batch)
end

local function writeLeases()
  remove('HDEL', K_a, endedLeases)
  remove('ZREM', K_l, endedLeases)
  if batchAt then writeBatches() end
  writePairs('ZADD', K_y, retries)
  endedLeases, retries = {}, {}
end

local function addEntry(h, text)
  h.entries = h.entries .. RS .. text
  if #h.entries > ${ENTRIES_MAX} * 20 then
    local _, entries = string.gsub(h.entries, RS, RS)
    if entries > ${ENTRIES_MAX} then h.entries = sub(h.entries, (find(h.entries, RS, 2, true))) end
  end
end

local function entry(e, outcome, error)
  local text = e.attempt .. US .. e.worker .. US .. e.startedAt .. US .. nowText .. US .. outcome
  return error and text .. US .. error or text
end

local function cancelled(id, e, h)
  finish(id, 'cancelled', e, h, sub(e.cancel, 2))
  return 'cancelled', ''
end

local function delayMs(policy, attempt, random)
  local ms = policy.delayMs
  if policy.type == 'e' then ms = ms * policy.factor ^ (attempt - 1) end
  ms = min(ms, policy.maxMs)
  return floor(ms * (1 - policy.jitter) + ms * policy.jitter * random)
end

local function later(id, h, due)
  h.dueAt = string.format('%d', due)
  push(retries, due, id)
  keepHistory(id, h)
  return 'retrying', due
end

local function failed(id, e, h, isFinal, retryAfterMs, random, outcome, error)
  local policy = policyOf(e.policy)
  h.used = h.used + 1
  addEntry(h, entry(e, outcome, error))
  count('failed', 1)
  if e.cancel ~= '' then return cancelled(id, e, h) end
  if isFinal or h.used >= policy.attempts then
    finish(id, 'dead', e, h, 'failed')
    return 'dead', ''
  end
  count('retried', 1)
  return later(id, h, now + (retryAfterMs or delayMs(policy, h.used, random)))
end

local function giveBack(id, e, h)
  if not givenBack[e.group] then
    givenBack[e.group] = {}
    backGroups[#backGroups + 1] = e.group
  end
  local list = givenBack[e.group]
  list[#list + 1] = id
  keepHistory(id, h)
  count('waiting', 1)
  return 'waiting', ''
end

local function writeGivenBack()
  for _, name in ipairs(backGroups) do
    local g = group(name)
    prepend(name, givenBack[name])
    if g.where == '-' then wake(g) end
  end
  givenBack, backGroups = {}, {}
end
`,
};
