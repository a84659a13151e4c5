/**
 * Leases of many jobs that are one entry, since a script's cost is the entries that it writes.
 *
 * Plain jobs that were leased in one call are kept as one text in `b` and one member of `l`: `b` and their number.
 * Plain is what has no past, dedup id, parent, timeout or time to live. The token of a lease is number × 128 + slot, its
 * place in the call, and here `number:slot`; so the token of any lease, be it of a batch or alone in `a`, says where to
 * look. A text of `b`: startedAt, worker, policy, how many are left, FS, groups, FS, per slot a byte that says which
 * group (nothing: all of the first), FS, ids and slots: `,17:0,18:1,`. Slots are texts.
 *
 * - `useBatches()` makes all the others, once: to make a function costs as much as a command, and a call of a queue
 *   without batches makes none of them.
 * - `batchAt(number)`, `readBatches(numbers)`: several in one command. What is read is kept for the script.
 * - `heldIn(id, token)`: the batch and slot of a lease. `batchOf(id)`: the same without a token; it goes through all
 *   batches (at most 64 of 128: 0.2 ms), and from the ninth call on through an index of all their jobs (7 ms).
 * - `isIn(batch, id, slot)`; `leaseIn(batch, slot)`: the lease, as `leaseOf` gives it, with `batch`. It is shared by those
 *   of a group.
 * - `drop(batch, slot)`: it is not in the batch any more; `dropAll(batch)`. `takeOut(batch, id, slot, lease, deadline)`:
 *   it is leased by itself from now on. `writeBatches()` after these.
 */
import type { LuaPart } from '../scripts.ts';

/** Jobs of one batch, and places of one number. Tokens stay below 2^53 for some hundred years. */
export const BATCH_SLOTS = 128;
/** Fewer are leased each by itself. */
export const BATCH_LEAST = 8;
/** When there are so many, further jobs are leased each by itself: whoever looks for an id goes through all of them. */
export const BATCHES_MAX = 64;

export const BATCHES: LuaPart = {
  keys: ['m', 'a', 'l', 'b'],
  text: `
local SLOTS = ${BATCH_SLOTS}
local batchAt, readBatches, isIn, heldIn, batchOf, leaseIn, drop, dropAll, takeOut, writeBatches
local function batchText(batch)
  return table.concat({ batch.startedAt, batch.worker, batch.policy, batch.left }, US) .. FS ..
    table.concat({ batch.groups, batch.map, batch.ids }, FS)
end
local function useBatches()
if batchAt then return end
local BATCH = '^(%d+)\\31([^\\31]*)\\31([^\\31]*)\\31(%d+)\\28([^\\28]*)\\28([^\\28]*)\\28(.*)$'
-- By number; false: there is none.
local batches, changedBatches = {}, {}

local function readBatch(number, text)
  local startedAt, worker, policy, left, groups, map, ids = match(text or '', BATCH)
  local batch = ids and { number = number, startedAt = startedAt, worker = worker, policy = policy, left = tonumber(left),
    groups = groups, map = map, ids = ids, leases = {}, away = {}, from = 1 }
  batches[number] = batch or false
  return batch
end
function batchAt(number)
  local batch = batches[number]
  if batch == nil then return readBatch(number, call('HGET', K_b, number)) end
  return batch
end
function readBatches(numbers)
  local asked = {}
  for _, number in ipairs(numbers) do
    if batches[number] == nil then
      batches[number] = false
      asked[#asked + 1] = number
    end
  end
  for at, text in ipairs(texts(K_b, asked)) do readBatch(asked[at], text) end
end

-- Those of a batch are mostly asked for in their order: the search begins where the last one ended.
function isIn(batch, id, slot)
  if batch.away[slot] then return false end
  local job = ',' .. id .. ':' .. slot .. ','
  local at = find(batch.ids, job, batch.from, true) or find(batch.ids, job, 1, true)
  batch.from = at or 1
  return at ~= nil
end

function heldIn(id, token)
  local colon = find(token, ':', 1, true)
  if not colon or id == '' or find(id, '%D') then return end
  local batch, slot = batchAt(sub(token, 1, colon - 1)), sub(token, colon + 1)
  if batch and isIn(batch, id, slot) then return batch, slot end
end

local findBatch = finder(K_b)
function batchOf(id)
  local number = findBatch(id)
  local batch = number and batchAt(number)
  local _, at = find(batch and batch.ids or '', ',' .. id .. ':', 1, true)
  local slot = at and match(batch.ids, '^%d+', at + 1)
  if slot and not batch.away[slot] then return batch, slot end
end

function leaseIn(batch, slot)
  local at = batch.map == '' and 1 or string.byte(batch.map, tonumber(slot) + 1) - 47
  local e = batch.leases[at]
  if not e then
    batch.names = batch.names or split(batch.groups, US)
    e = { attempt = 1, stalls = 0, startedAt = batch.startedAt, worker = batch.worker, group = batch.names[at],
      policy = batch.policy, dedup = '', parent = '', cancel = '', past = '', isPlain = true, batch = batch }
    batch.leases[at] = e
  end
  return e
end

-- Texts are made anew in the end: to do so for each job cost more than all the rest.
function drop(batch, slot)
  batch.away[slot] = true
  batch.left = batch.left - 1
  changedBatches[batch.number] = batch
  count('batched', -1)
end
function dropAll(batch)
  count('batched', -batch.left)
  batch.left, batch.ids = 0, ','
  changedBatches[batch.number] = batch
end

function takeOut(batch, id, slot, e, deadline)
  drop(batch, slot)
  call('HSET', K_a, id, leaseText(batch.number .. ':' .. slot, e))
  call('ZADD', K_l, deadline, id)
end

local function rewrite(batch)
  local jobs, n = { '' }, 1
  for id, slot in gmatch(batch.ids, ',(%d+):(%d+)') do
    if not batch.away[slot] then
      n = n + 1
      jobs[n] = id .. ':' .. slot
    end
  end
  jobs[n + 1] = ''
  batch.ids, batch.away, batch.from = table.concat(jobs, ','), {}, 1
end
function writeBatches()
  for number, batch in pairs(changedBatches) do
    if batch.left > 0 then
      rewrite(batch)
      call('HSET', K_b, number, batchText(batch))
    else
      call('HDEL', K_b, number)
      call('ZREM', K_l, 'b' .. number)
      batches[number] = false
    end
  end
  changedBatches = {}
end
end
`,
};
