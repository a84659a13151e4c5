/**
 * Enqueues a tree, as a whole or not at all. ARGV: how many nodes; then per node, parents before their children: the
 * number of its parent in this order (0: it is the root), how many children it has, when it is due, and its record
 * without times, in which `@` stands for the id of its parent. Answers their ids, in order; nothing: there is no room.
 */
import { BASE } from '../lua/base.ts';
import { ENDING } from '../lua/ending.ts';
import { GROUPS } from '../lua/groups.ts';
import { script } from '../scripts.ts';

export const ADD_FLOW = script('addFlow', BASE, GROUPS, ENDING, {
  keys: ['m', 'j', 'f', 'fc'],
  text: `
-- Needs memory, and so is refused where there is none: before anything has been done.
call('HINCRBY', K_m, 'enqueued', 0)
local size, jobsMax = nextNumber(), needLimits().jobsMax
if jobsMax > 0 and tonumber(call('HGET', K_m, 'live') or 0) + size > jobsMax then return {} end

local function withParent(body, parentId)
  local at = find(body, RS, 1, true)
  return sub(body, 1, at - 2) .. parentId .. sub(body, at)
end

local ids, childIds = {}, {}
for at = 1, size do
  local parent, children, dueAt, body = nextNumber(), nextNumber(), nextArg(), nextArg()
  if parent > 0 then body = withParent(body, ids[parent]) end
  local id = create(body, dueAt, children > 0)
  ids[at] = id
  if parent > 0 then childIds[parent] = (childIds[parent] or '') .. id .. ',' end
  if children > 0 then call('HSET', K_f, id, children) end
end
for at, text in pairs(childIds) do call('HSET', K_fc, ids[at], text) end
writeEnded()
writeGroups()
writeCounters()
return ids
`,
});
