/**
 * The figures of a queue. Answers: `m` as a flat list, how many are scheduled, retrying, leased, wait for children, are
 * completed, dead, cancelled, when the oldest that waits could first have been leased (0: none waits), bytes, now.
 *
 * The oldest is looked for at the heads of groups, for lists are in the order in which jobs came to wait, and among those
 * with a priority. Of each, 1,000 at the most: with more groups than that it is the oldest of those seen.
 */

import { KEY_NAMES } from '../keys.ts';
import { BASE } from '../lua/base.ts';
import { type LuaPart, script } from '../scripts.ts';

const FIGURES_PART: LuaPart = {
  keys: KEY_NAMES,
  text: `
local SEEN = 1000
local oldest = 0
-- What stands in a list and is not void waits.
local voids = {}
local function isVoid(id)
  voids[id] = (voids[id] or tonumber(call('HGET', K_v, id) or 0)) - 1
  return voids[id] >= 0
end
local function see(id)
  local record = not isVoid(id) and call('HGET', K_j, id)
  if not record then return false end
  local machine = machineOf(record)
  local dueAt = historyOf(call('HGET', K_s, id)).dueAt
  local due = tonumber(dueAt) or tonumber(machine.dueAt, 36) or tonumber(machine.enqueuedAt, 36)
  if oldest == 0 or due < oldest then oldest = due end
  return true
end

-- The first of a group's list that waits still: entries that are void come before it.
local function seeHead(name, text)
  local head, tail, off = match(text, '^(%S+) (%S+) (%S+)')
  local budget = 200
  for number = tonumber(head), tonumber(tail) do
    local piece = call('HGET', K_w, name .. US .. string.format('%.0f', number))
    for id in gmatch(piece and sub(piece, off + 1) or '', '[^,]+') do
      budget = budget - 1
      if see(id) or budget == 0 then return end
    end
    off = 0
  end
end

if tonumber(call('HGET', K_m, 'waiting') or 0) > 0 then
  local groups = call('HSCAN', K_g, 0, 'COUNT', SEEN)[2]
  for at = 1, #groups, 2 do seeHead(groups[at], groups[at + 1]) end
  for _, member in ipairs(call('ZRANGE', K_p, 0, SEEN - 1)) do
    see(sub(member, find(member, US, 1, true) + 21))
  end
end

local bytes = 0
for _, key in ipairs(KEYS) do bytes = bytes + (call('MEMORY', 'USAGE', key) or 0) end
return { call('HGETALL', K_m), call('ZCARD', K_z), call('ZCARD', K_y),
  call('HLEN', K_a) + countNow('batched'), call('HLEN', K_f), call('ZCARD', K_c) - call('HLEN', K_cb) + countNow('pieced'),
  call('ZCARD', K_d), call('ZCARD', K_x), oldest, bytes, now }
`,
};

export const FIGURES = script('figures', BASE, FIGURES_PART);
