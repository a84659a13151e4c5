/**
 * The end of a job: where it is kept and how long, its dedup id, what comes behind it, its parent.
 *
 * - `finish(id, state, job, history, reason, result)`: the job has ended. The caller has taken it from where it was (and
 *   counted `waiting` down, `ended(group)` where it was leased). `job`: anything with `policy`, `dedup`, `parent`
 *   (`machineOf`, `leaseOf`). `result`: text or nil.
 * - `keepHistory(id, history)`: to be written with the rest.
 * - `create(body, dueAt, isHeld)`: a new job; body and dueAt as `add` is sent them. Held: it is put nowhere, and does not
 *   wait. @returns Its id and state.
 * - `finishPlain(id, slot, lease, result)`, `finishBatch(batch, lease)`: the same of plain jobs that were done at the first
 *   attempt, which `lua/pieces.ts` keeps, and much faster.
 * - `stateOf(id)`, and `stateApart(id)` of a job that is in no batch and no piece: a cheaper look.
 * - `writeEnded()`: before `writeGroups()` and `writeCounters()`.
 * - `forget(ids)`: all that is kept of them; `forgetGone()`: what `forgetOldest` has taken.
 */
import { FLOW_ENDS, FLOW_HOOK } from '../control/flow-hook.ts';
import type { KeyName } from '../keys.ts';
import type { LuaPart } from '../scripts.ts';
import { BATCHES } from './batches.ts';
import { PIECES } from './pieces.ts';

/** How long the dead letter is kept, and how many. */
const DEAD_MS = 14 * 24 * 3_600_000;
const DEAD_MAX = 10_000;
/** Where a policy sets no number. */
const KEPT_MAX = 100_000;
/** Jobs that one call forgets for there being too many: some thousand at once only when a queue is to keep fewer. */
const FORGOTTEN_MAX = 5_000;

const KEYS: readonly KeyName[] = ['m', 'j', 's', 'z', 'y', 'a', 't', 'c', 'd', 'x', 'r', 'o', 'e', 'dd', 'de', 'dk'];

export const ENDING: LuaPart = {
  keys: [...KEYS, 'f', 'fc', ...BATCHES.keys, ...PIECES.keys, ...FLOW_HOOK.keys, ...FLOW_ENDS.keys],
  text: `
local SETS = { completed = K_c, dead = K_d, cancelled = K_x }
local kept, keepMost, histories, results, gone, gonePlain = {}, {}, {}, {}, {}, {}
local created, lastId, now36 = {}, nil, nil

local function push(list, first, second)
  local n = #list
  list[n + 1], list[n + 2] = first, second
end
local function writePairs(command, key, list)
  eachSlice(list, function(...) call(command, key, ...) end)
end
local function keepHistory(id, h) push(histories, id, historyText(h)) end

${BATCHES.text}
${PIECES.text}
-- Of a job that is not plain; nil: it waits or is not there.
local function placeApart(id)
  if call('HEXISTS', K_a, id) == 1 then return 'leased' end
  if call('ZSCORE', K_z, id) then return 'scheduled' end
  if call('ZSCORE', K_y, id) then return 'retrying' end
  for state, set in pairs(SETS) do
    if call('ZSCORE', set, id) then return state end
  end
  if tonumber(call('HGET', K_f, id) or 0) > 0 then return 'waiting-children' end
end
local function stateApart(id)
  return placeApart(id) or call('HEXISTS', K_j, id) == 1 and 'waiting' or nil
end
local function stateOf(id)
  if call('HEXISTS', K_j, id) == 0 then return nil end
  useBatches()
  lookIntoPieces()
  return placeApart(id) or batchOf(id) and 'leased' or pieceOf(id) and 'completed' or 'waiting'
end

local function writeCreated()
  writePairs('HSET', K_j, created)
  created = {}
end

local function nextId()
  if not lastId then lastId = tonumber(call('HGET', K_m, 'id') or 0) end
  lastId = lastId + 1
  count('id', 1)
  return string.format('%d', lastId)
end

local function create(body, dueAt, isHeld)
  local id = nextId()
  now36 = now36 or base36(now)
  count('enqueued', 1)
  count('live', 1)
  local due = dueAt ~= '' and tonumber(dueAt, 36) or 0
  local isLater, isPlain = due > now, string.byte(body) == 30
  local record = now36 .. ((isLater and US .. dueAt) or (not isPlain and US) or '') .. body
  push(created, id, record)
  -- Most that are not plain have a policy of their own, and nothing that is needed here.
  local job = not isPlain and sub(body, 1, 4) ~= US .. US .. US .. US and machineOf(record)
  if job and job.expiresAt ~= '' then call('ZADD', K_t, tonumber(job.expiresAt, 36), id) end
  if isHeld then return id, 'waiting-children', job end
  if isLater then
    call('ZADD', K_z, due, id)
    return id, 'scheduled', job
  end
  count('waiting', 1)
  append(job and job.group or '', id, job and job.priority or 0)
  return id, 'waiting', job
end

-- Dedup entries: job id, letter of the mode (E: the job has ended), when the id is free (or nothing: at the end).
local function holdDedup(dedupId, id, letter, ttl)
  local freeAt = ttl ~= '' and letter ~= 'd' and letter ~= 'k' and now + tonumber(ttl) or ''
  call('HSET', K_dd, dedupId, id .. US .. letter .. US .. freeAt)
  call('ZREM', K_de, dedupId)
  if letter == 't' and freeAt ~= '' then call('ZADD', K_de, freeAt, dedupId) end
end

local function freeDedup(id, text)
  local dedupId = match(text, '^%a%d*:(.*)$')
  local held = call('HGET', K_dd, dedupId)
  if not held then return end
  local entry = split(held, US)
  if entry[1] ~= id then return end
  local freeAt = tonumber(entry[3] ~= '' and entry[3] or 0)
  if freeAt > now then
    if entry[2] ~= 't' then
      call('HSET', K_dd, dedupId, id .. US .. 'E' .. US .. freeAt)
      call('ZADD', K_de, freeAt, dedupId)
    end
    return
  end
  call('HDEL', K_dd, dedupId)
  call('ZREM', K_de, dedupId)
  local behind = call('HGET', K_dk, dedupId)
  if not behind then return end
  call('HDEL', K_dk, dedupId)
  local due, body = match(behind, '^(%w*)(.*)$')
  holdDedup(dedupId, (create(body, due)), 'k', '')
end

-- Where an ended job is kept and until when; false: it is forgotten at once.
local function keep(id, state, policy, result)
  local most, ageMs = policy.keep, policy.ageMs
  if state == 'dead' then most, ageMs = ${DEAD_MAX}, ${DEAD_MS} end
  if most == 0 and ageMs == 0 then
    gone[#gone + 1] = id
    return false
  end
  local set = SETS[state]
  kept[set] = kept[set] or {}
  push(kept[set], tostring(now + (ageMs > 0 and ageMs or FOREVER_MS)), id)
  keepMost[set] = most > 0 and most or ${KEPT_MAX}
  if result then push(results, id, result) end
  return true
end

-- What plain jobs of one lease have in common when they are done; found out once.
local function doneOf(e)
  if e.done == nil then
    local policy = policyOf(e.policy)
    e.done = (policy.keep > 0 or policy.ageMs > 0) and {
      keptUntil = tostring(now + (policy.ageMs > 0 and policy.ageMs or FOREVER_MS)),
      most = policy.keep > 0 and policy.keep or ${KEPT_MAX},
      history = table.concat({ 1, 0, '', nowText, RS .. 1, e.worker, e.startedAt, nowText, 'completed' }, US),
    }
  end
  if e.done then keepMost[K_c] = e.done.most end
  return e.done
end
local function finishPlain(id, slot, e, result)
  count('live', -1)
  count('completed', 1)
  local done = doneOf(e)
  if not done then
    gone[#gone + 1] = id
    return
  end
  keepPlain(done, id .. ':' .. slot .. ',', 1)
  if result then push(results, id, result) end
end
local function finishBatch(batch, e)
  count('live', -batch.left)
  count('completed', batch.left)
  local done = doneOf(e)
  if done then
    keepPlain(done, sub(batch.ids, 2), batch.left)
  else
    for id in gmatch(batch.ids, ',(%d+)') do gonePlain[#gonePlain + 1] = id end
  end
end

local flowEnded
local function finish(id, state, job, h, reason, result)
  count('live', -1)
  count(state, 1)
  h.finishedAt, h.reason = nowText, reason or ''
  if keep(id, state, policyOf(job.policy), result) then keepHistory(id, h) end
  if job.dedup ~= '' then freeDedup(id, job.dedup) end
  if job.parent ~= '' then flowEnded(id, job.parent, state, reason or '') end
end
${FLOW_HOOK.text}
-- What only some have, and hardly any queue: all are asked for in one command. The last two are for flows.
local EXTRAS = { K_r, K_o, K_e, K_f, K_fc }
local function forgetIn(ids, extras)
  if not ids[1] then return end
  remove('HDEL', K_j, ids)
  if call('EXISTS', unpack(EXTRAS, 1, extras)) == 0 then return end
  for at = 1, extras do
    if call('EXISTS', EXTRAS[at]) == 1 then remove('HDEL', EXTRAS[at], ids) end
  end
end
local function forget(ids)
  remove('HDEL', K_s, ids)
  forgetIn(ids, #EXTRAS)
end
-- Plain ones have no history of their own and nobody above or below them.
local function forgetGone()
  forget(gone)
  forgetIn(gonePlain, 3)
  gone, gonePlain = {}, {}
end

local function trim(set)
  local pieces = set == K_c and call('HLEN', K_cb) or 0
  local members = call('ZCARD', set)
  local jobs = pieces == 0 and members or members - pieces + countNow('pieced')
  local over, most = min(jobs - keepMost[set], ${FORGOTTEN_MAX}), 4
  if over <= 0 then return end
  if pieces > 0 then
    usePieces()
    while over > 0 do
      members = call('ZRANGE', set, 0, min(over, most) - 1)
      if not members[1] then return end
      over, most = over - forgetOldest(set, members, over, true), 1000
    end
    return
  end
  for _, id in ipairs(call('ZRANGE', set, 0, over - 1)) do gone[#gone + 1] = id end
  call('ZREMRANGEBYRANK', set, 0, over - 1)
end

local function writePlaces()
  writeCreated()
  writePlain()
  writePairs('HSET', K_s, histories)
  writePairs('HSET', K_r, results)
  for set, list in pairs(kept) do
    writePairs('ZADD', set, list)
    trim(set)
  end
  forgetGone()
  histories, results, kept = {}, {}, {}
end
${FLOW_ENDS.text}`,
};
