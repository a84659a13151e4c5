/**
 * What every script begins with: the time, counters that are written at the end, and reading records.
 *
 * - `now`: Redis' time in whole milliseconds; `nextArg()`, `nextNumber()` read ARGV in order.
 * - `count(name, by)` adds to a counter of `m`; `writeCounters()` writes all of them, and comes last in each script.
 *   `countNow(name)` reads one, with what has been added since.
 * - `finder(key)`: a function that says which field of a hash of batches (`,id:slot,…` behind the last FS) has an id.
 * - `eachSlice(list, deed)`: variadic commands take no more than some thousand values.
 * - `even`: lets a script write where Redis' memory is full. It refuses a script's first write if that could need
 *   memory, and none after it; what ends or moves jobs must go on, or nothing would ever free memory. Enqueueing does
 *   not do this, and so is refused as a whole.
 */
import type { LuaPart } from '../scripts.ts';

export const BASE: LuaPart = {
  keys: ['m', 'j', 's'],
  prelude: `
local call, floor, min, max = redis.call, math.floor, math.min, math.max
local find, sub, match, gmatch = string.find, string.sub, string.match, string.gmatch
local US, RS, FS = '\\31', '\\30', '\\28'
local clock = call('TIME')
local now = clock[1] * 1000 + floor(clock[2] / 1000)
local nowText = tostring(now)
local FOREVER_MS = 315360000000
`,
  text: `
local argument = 0
local function nextArg()
  argument = argument + 1
  return ARGV[argument]
end
local function nextNumber() return tonumber(nextArg()) end

local counters = {}
local function count(name, by) counters[name] = (counters[name] or 0) + by end
local function writeCounters()
  for name, by in pairs(counters) do
    if by ~= 0 then call('HINCRBY', K_m, name, by) end
  end
end

local function countNow(name) return tonumber(call('HGET', K_m, name) or 0) + (counters[name] or 0) end

local function even() call('HDEL', K_m, '') end

local SLICE = 2000
local function eachSlice(list, deed)
  for from = 1, #list, SLICE do deed(unpack(list, from, min(from + SLICE - 1, #list))) end
end
local function remove(command, key, list)
  eachSlice(list, function(...) call(command, key, ...) end)
end
-- Texts of many ids, in their order; false where there is none.
local function texts(key, ids)
  if #ids <= SLICE then return ids[1] and call('HMGET', key, unpack(ids)) or {} end
  local all = {}
  eachSlice(ids, function(...)
    for _, text in ipairs(call('HMGET', key, ...)) do all[#all + 1] = text end
  end)
  return all
end

local function split(text, sign)
  local parts, from, n = {}, 1, 0
  while true do
    n = n + 1
    local at = find(text, sign, from, true)
    if not at then
      parts[n] = sub(text, from)
      return parts
    end
    parts[n] = sub(text, from, at - 1)
    from = at + 1
  end
end

local IDS = '^.*\\28(.*)$'
-- What has been taken from a text since it was read is for the caller to see.
local function finder(key)
  local all, index, asked = nil, nil, 0
  return function(id)
    if find(id, '%D') then return end
    all = all or call('HGETALL', key)
    asked = asked + 1
    if asked > 8 and not index then
      index = {}
      for at = 1, #all, 2 do
        for one in gmatch(match(all[at + 1], IDS), ',(%d+)') do index[one] = all[at] end
      end
    end
    if index then return index[id] end
    local job = ',' .. id .. ':'
    for at = 1, #all, 2 do
      -- What stands before the ids may look like one.
      if find(all[at + 1], job, 1, true) and find(match(all[at + 1], IDS), job, 1, true) then return all[at] end
    end
  end
end

local DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'
local function base36(number)
  local text = ''
  repeat
    local digit = number % 36
    text = sub(DIGITS, digit + 1, digit + 1) .. text
    number = (number - digit) / 36
  until number == 0
  return text
end

-- What the machine needs of a record; nil for a plain one is '' here.
local function machineOf(record)
  local fields = split(sub(record, 1, find(record, RS, 1, true) - 1), US)
  return {
    enqueuedAt = fields[1], dueAt = fields[2] or '', expiresAt = fields[3] or '', group = fields[4] or '',
    priority = tonumber(fields[5] ~= '' and fields[5] or 0) or 0, policy = fields[6] or '', dedup = fields[7] or '',
    parent = fields[8] or '',
  }
end

local DEFAULT_POLICY = { attempts = 5, type = 'e', delayMs = 1000, factor = 2, maxMs = 3600000, jitter = 1,
  timeoutMs = 0, keep = 1000, ageMs = 3600000 }
local policies = { [''] = DEFAULT_POLICY }
local function policyOf(text)
  if policies[text] then return policies[text] end
  local p = split(text, ',')
  policies[text] = { attempts = tonumber(p[1]), type = p[2], delayMs = tonumber(p[3]), factor = tonumber(p[4]),
    maxMs = tonumber(p[5]), jitter = tonumber(p[6]), timeoutMs = tonumber(p[7]), keep = tonumber(p[8]),
    ageMs = tonumber(p[9]) }
  return policies[text]
end

-- History: head of five fields, and all entries as one text that begins with RS or is empty.
local function historyOf(text)
  if not text or text == '' then return { used = 0, stalls = 0, dueAt = '', finishedAt = '', reason = '', entries = '' } end
  local at = find(text, RS, 1, true)
  local head = split(at and sub(text, 1, at - 1) or text, US)
  return { used = tonumber(head[1]), stalls = tonumber(head[2]), dueAt = head[3] or '', finishedAt = head[4] or '',
    reason = head[5] or '', entries = at and sub(text, at) or '' }
end
local function historyText(h)
  return h.used .. US .. h.stalls .. US .. h.dueAt .. US .. h.finishedAt .. US .. h.reason .. h.entries
end

local LEASE = '^(%d+)\\31(%d+)\\31(%d+)\\31([^\\31]*)\\31([^\\31]*)\\31([^\\31]*)\\31([^\\31]*)\\31([^\\31]*)\\31([^\\31]*)\\31(.*)$'
-- Leases of one batch are equal but for their tokens, and are read once: nobody may change what comes from here.
local leasesRead = {}
-- @return The lease, its token.
local function leaseOf(text)
  local at = find(text, US, 1, true)
  local token, rest = sub(text, 1, at - 1), sub(text, at + 1)
  local e = leasesRead[rest]
  if not e then
    local attempt, stalls, startedAt, worker, grp, policy, dedup, parent, cancel, past = match(rest, LEASE)
    e = { attempt = tonumber(attempt), stalls = tonumber(stalls), startedAt = startedAt, worker = worker, group = grp,
      policy = policy, dedup = dedup, parent = parent, cancel = cancel, past = past }
    e.isPlain = dedup == '' and parent == '' and cancel == '' and past == ''
    leasesRead[rest] = e
  end
  return e, token
end
local function leaseText(token, e)
  return table.concat({ token, e.attempt, e.stalls, e.startedAt, e.worker, e.group, e.policy, e.dedup, e.parent,
    e.cancel, e.past }, US)
end
`,
};
