/**
 * The ids of one state that a filter means, newest first, from a position on.
 *
 * States that are a sorted set are read from its end; a position is a score and an id, and need not be there any more.
 * Of jobs in batches and pieces it is the score, the member, a dot, and a mark that grows from job to job: of leased ones
 * 128 − slot, of completed ones the number from the end, for a piece loses only its first ones.
 * Jobs that wait are in no place of their own: their ids are walked downwards from the newest. Ids of which nothing is
 * left are passed over cheaply, and so many of them at a time that a page is always found soon.
 *
 * ARGV: state, position (nothing: from the start), jobs to look at, ids wanted, then name, group, tag, enqueued at or
 * after, enqueued before (`filter-part.ts`).
 * Answers: jobs looked at, next position (nothing: that was all), ids.
 */
import { BASE } from '../lua/base.ts';
import { type LuaPart, script } from '../scripts.ts';
import { FILTER } from './filter-part.ts';
import { PLACE } from './place-part.ts';

const FIND_PART: LuaPart = {
  keys: ['m', 'j', 'z', 'y', 'l', 'b', 'c', 'cb', 'd', 'x', 'f'],
  text: `
local SETS = { scheduled = K_z, retrying = K_y, leased = K_l, completed = K_c, dead = K_d, cancelled = K_x }
local CHUNK, GAPS = 200, 20000
local state, position, budget, want = nextArg(), nextArg(), nextNumber(), nextNumber()
readFilter()
local ids, looked = {}, 0

-- @return Score, member, mark.
local function readPosition()
  local score, member, mark = match(position, '^([^:]+):(b?%d+)%.?(%d*)$')
  return tonumber(score), member, tonumber(mark ~= '' and mark or 0)
end

-- The first rank behind a position, which may have gone: by halves, for ranks are in the order of score and member. A
-- member with a mark is met again.
local function rankBehind(key, score, member)
  local low, high, isShared = 0, call('ZCARD', key), string.byte(member) == 98
  while low < high do
    local middle = floor((low + high) / 2)
    local entry = call('ZREVRANGE', key, middle, middle, 'WITHSCORES')
    local other = tonumber(entry[2])
    local isBehind = other < score or other == score and (entry[1] < member or isShared and entry[1] == member)
    if isBehind then high = middle else low = middle + 1 end
  end
  return low
end

-- The jobs of a batch or piece with their positions, the newest first.
local function addShared(key, member, score, mark, chunk, positions)
  local text = call('HGET', key == K_l and K_b or K_cb, sub(member, 2))
  local jobs, from = {}, #chunk
  for id, slot in gmatch(text and match(text, IDS) or '', ',(%d+):(%d*)') do jobs[#jobs + 1] = { id, slot } end
  for at = #jobs, 1, -1 do
    local one = key == K_l and SLOTS - jobs[at][2] or #jobs - at + 1
    if one > mark then
      from = from + 1
      chunk[from], positions[from] = jobs[at][1], score .. ':' .. member .. '.' .. one
    end
  end
end

local function findInSet(key)
  local score, member, mark = readPosition()
  local rank = score and rankBehind(key, score, member) or 0
  while true do
    local entries = call('ZREVRANGE', key, rank, rank + CHUNK - 1, 'WITHSCORES')
    if #entries == 0 then return '' end
    local chunk, positions = {}, {}
    for at = 1, #entries, 2 do
      local one = entries[at]
      if #chunk >= CHUNK then break end
      if string.byte(one) == 98 then
        addShared(key, one, entries[at + 1], one == member and mark or 0, chunk, positions)
      else
        chunk[#chunk + 1], positions[#positions + 1] = one, entries[at + 1] .. ':' .. one
      end
      rank = rank + 1
    end
    local records = isFiltered and texts(K_j, chunk)
    for at, id in ipairs(chunk) do
      looked = looked + 1
      if not records or records[at] and isMeant(records[at]) then ids[#ids + 1] = id end
      if #ids >= want or looked >= budget then return positions[at] end
    end
  end
end

local function isEmpty()
  if state == 'waiting-children' then return call('HLEN', K_f) == 0 end
  return tonumber(call('HGET', K_m, 'waiting') or 0) <= 0
end

local function findByIds()
  if isEmpty() then return '' end
  local top = position == '' and tonumber(call('HGET', K_m, 'id') or 0) or tonumber(position) - 1
  local gaps = 0
  while top > 0 do
    local chunk = {}
    for id = top, max(1, top - CHUNK + 1), -1 do chunk[#chunk + 1] = string.format('%.0f', id) end
    local records = call('HMGET', K_j, unpack(chunk))
    for at, id in ipairs(chunk) do
      if records[at] then
        looked = looked + 1
        if isMeant(records[at]) and placeOf(id) == state then ids[#ids + 1] = id end
      else
        gaps = gaps + 1
      end
      if #ids >= want or looked >= budget or gaps >= GAPS then return id end
    end
    top = top - #chunk
  end
  return ''
end

local behind
if SETS[state] then behind = findInSet(SETS[state]) else behind = findByIds() end
return { looked, behind, ids }
`,
};

export const FIND = script('find', BASE, PLACE, FILTER, FIND_PART);
