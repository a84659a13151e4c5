/**
 * What the end of a job does to the job above it in a flow, in two parts of `lua/ending.ts`.
 *
 * The first only notes who has ended: in the middle of a script places are half written, and nobody could tell yet what
 * waits and what has ended. The second is what `writeEnded` does once they are written: parents go on or die, and what a
 * dead one waited for is cancelled; that may end further jobs, whose parents hear of it at once.
 *
 * A parent waits as long as it has a number greater than 0 in `f`. A child's link (`i12`, `f12`) is a capital once the
 * child was redriven: the parent has heard of its end, and does not hear of it again.
 *
 * For other scripts: `dueNow(id, record)`: a job that had to wait could first be leased now. `endParent(id, state,
 * reason)`: one that waits for its children ends, and they with it.
 */
import type { LuaPart } from '../scripts.ts';

export const FLOW_HOOK: LuaPart = {
  keys: [],
  text: `
local flowsEnded = {}
function flowEnded(id, parent, state) flowsEnded[#flowsEnded + 1] = { parent = parent, state = state } end
`,
};

export const FLOW_ENDS: LuaPart = {
  keys: ['j', 's', 'z', 'y', 'f', 'fc'],
  text: `
local function dueNow(id, record)
  local past = call('HGET', K_s, id)
  if past then
    local h = historyOf(past)
    h.dueAt = nowText
    keepHistory(id, h)
    return
  end
  local at = find(record, RS, 1, true)
  local fields = split(sub(record, 1, at - 1), US)
  fields[2] = base36(now)
  call('HSET', K_j, id, table.concat(fields, US) .. sub(record, at))
end

local function notWaitedFor(id)
  call('HDEL', K_f, id)
  call('HDEL', K_fc, id)
end

local function parentReady(id)
  notWaitedFor(id)
  local record = call('HGET', K_j, id)
  local job = machineOf(record)
  local due = job.dueAt ~= '' and tonumber(job.dueAt, 36) or 0
  if due > now then
    call('ZADD', K_z, due, id)
  else
    dueNow(id, record)
    append(job.group, id, job.priority)
    count('waiting', 1)
  end
end

local endParent
local function cancelChild(id)
  local record = call('HGET', K_j, id)
  local job = record and machineOf(record)
  -- A redriven one goes its own way.
  if not job or not match(job.parent, '^[if]') then return end
  local state = stateApart(id)
  if state == 'waiting-children' then return endParent(id, 'cancelled', 'parent') end
  if state == 'scheduled' then
    call('ZREM', K_z, id)
  elseif state == 'retrying' then
    call('ZREM', K_y, id)
  elseif state == 'waiting' then
    void(id)
    count('waiting', -1)
  else
    return
  end
  finish(id, 'cancelled', job, historyOf(call('HGET', K_s, id)), 'parent')
end

function endParent(id, state, reason)
  local children = call('HGET', K_fc, id) or ''
  notWaitedFor(id)
  finish(id, state, machineOf(call('HGET', K_j, id)), historyOf(call('HGET', K_s, id)), reason)
  for child in gmatch(children, '[^,]+') do cancelChild(child) end
end

local function tellParent(parent, state)
  local mode, id = sub(parent, 1, 1), sub(parent, 2)
  local left = (mode == 'i' or mode == 'f') and tonumber(call('HGET', K_f, id) or 0) or 0
  if left <= 0 then return end
  if state ~= 'completed' and mode == 'f' then
    endParent(id, 'dead', 'child')
  elseif left > 1 then
    call('HSET', K_f, id, left - 1)
  else
    parentReady(id)
  end
end

-- Each as a whole before the next: what one ends must not wait any more where the next one looks.
local function tellParents()
  local told = flowsEnded
  flowsEnded = {}
  for _, ended in ipairs(told) do
    tellParent(ended.parent, ended.state)
    writePlaces()
    if flowsEnded[1] then tellParents() end
  end
end

local function writeEnded()
  writePlaces()
  if flowsEnded[1] then tellParents() end
end
`,
};
