/**
 * Calls that are done once: one entry for each, however many jobs it had. As it is written by the script that enqueues,
 * there is never one without the other.
 *
 * - `beginOnce(key, print, ttlMs)`: what comes is part of that call. `endOnce()`: it was, and is remembered.
 * - `once`: the call; nil between calls. `isKnown`: its key was there; `isOther`: that of another one; `runs`: its ids;
 *   `isNew`: there is something to remember.
 * - `forgetOnce(most)`: keys whose time is over, so many of each list. @return Whether there may be more.
 *
 * An entry is when it is free (seconds, 6 digits of base 36), the print, and ids in runs: `7` is one, `7+2` this and the
 * next two, `!3` three places without. The lists are in the order of time but for keys of differing lifetimes: of these
 * some are forgotten later than they might be, and none is known for longer than it was meant to.
 */
import type { LuaPart } from '../scripts.ts';

/** Of a key and of a call. */
export const PRINT_CHARS = 16;
const SHORT_MS = 600_000;

export const ONCE: LuaPart = {
  keys: ['k', 'ks', 'kl'],
  text: `
local once
local function isFree(at) return tonumber(at, 36) * 1000 <= now end

local function beginOnce(key, print, ttlMs)
  local entry = call('HGET', K_k, key)
  if entry and isFree(sub(entry, 1, 6)) then entry = nil end
  once = { key = key, print = print, ttlMs = tonumber(ttlMs), isKnown = entry and true, runs = '' }
  if entry then
    once.isOther = sub(entry, 7, ${6 + PRINT_CHARS}) ~= print
    once.runs = sub(entry, ${7 + PRINT_CHARS})
  end
end

local function endOnce()
  if once.isNew then
    local freeAt = base36(floor((now + once.ttlMs + 999) / 1000))
    call('HSET', K_k, once.key, freeAt .. once.print .. once.runs)
    call('RPUSH', once.ttlMs <= ${SHORT_MS} and K_ks or K_kl, freeAt .. once.key)
  end
  once = nil
end

local function forgetOnce(most)
  local isMore = false
  for _, list in ipairs({ K_ks, K_kl }) do
    local left = most
    local oldest = call('LINDEX', list, 0)
    while oldest and left > 0 and isFree(sub(oldest, 1, 6)) do
      local key = sub(oldest, 7)
      local entry = call('HGET', K_k, key)
      -- The key may have been used anew.
      if entry and isFree(sub(entry, 1, 6)) then call('HDEL', K_k, key) end
      call('LPOP', list)
      oldest = call('LINDEX', list, 0)
      left = left - 1
    end
    isMore = isMore or left == 0
  end
  return isMore
end
`,
};

/** `idsOfRuns(text)` and `runsOfIds(ids, last)`, which has nil for places without. */
export const ID_RUNS: LuaPart = {
  keys: [],
  text: `
local function idsOfRuns(text)
  local ids, n = {}, 0
  for run in gmatch(text, '[^,]+') do
    local first, more = match(run, '^(%d+)%+?(%d*)$')
    if first then
      for id = tonumber(first), first + (more ~= '' and more or 0) do
        n = n + 1
        ids[n] = string.format('%d', id)
      end
    else
      n = n + tonumber(sub(run, 2))
    end
  end
  return ids
end

local function runsOfIds(ids, last)
  local runs, from = {}, 1
  while from <= last do
    local to, first = from, tonumber(ids[from])
    while to < last and (first and tonumber(ids[to + 1]) == first + to + 1 - from or not first and not ids[to + 1]) do
      to = to + 1
    end
    if first then
      runs[#runs + 1] = ids[from] .. (to > from and '+' .. (to - from) or '')
    else
      runs[#runs + 1] = '!' .. (to - from + 1)
    end
    from = to + 1
  end
  return table.concat(runs, ',')
end
`,
};
