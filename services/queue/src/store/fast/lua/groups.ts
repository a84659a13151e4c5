/**
 * Groups: a list of ids each, in pieces, and who is served next.
 *
 * The state of a group (`g`) is one text of numbers and words with spaces between: first and last piece, bytes read of the
 * first, ids in the last, ids in all pieces, ids with a priority, running, deficit, tokens, when they were counted, where,
 * paused (1 or 0). Where: `r` in the ring; `z` in `gz` until there is a token; `c` until a lease of it ends; `p`
 * paused; `-` nothing waits.
 *
 * A group's list is the pieces first … last of `w`. Ids come to the end of the last one, and are read from the first
 * one, which is not written again for that: only the place where reading goes on is kept. A batch costs one read or one
 * write of a piece this way, and an id about its digits and one byte. Those with a priority are in `p`, and come behind.
 *
 * An id that leaves the list otherwise than by its turn stays where it is and is counted in `v`; the first entry of
 * this id that is met is passed over then. So nothing is ever searched for.
 *
 * For other scripts: `append(name, id, priority)`, `prepend(name, ids)`, `void(id)`, `wake(group)`, and `writeGroups()`
 * before `writeCounters()`. None of them counts in `waiting`, but `prepend` and `append` count the entries.
 */
import type { LuaPart } from '../scripts.ts';

export const GROUPS: LuaPart = {
  keys: ['m', 'g', 'gl', 'w', 'p', 'v', 'ring', 'gz'],
  endsLevel: true,
  text: `
local PIECE = 128
local limits
local function limitsOf(text)
  local n = {}
  for number in gmatch(text or '', '%S+') do n[#n + 1] = tonumber(number) end
  return n
end
-- Of the queue: jobsMax concurrency rate burst maxStalls, and of groups: weight concurrency rate burst.
local function readLimits(text)
  local n = limitsOf(text or '0 0 0 0 5 1 0 0 0')
  limits = { jobsMax = n[1], concurrency = n[2], rate = n[3], burst = n[4], maxStalls = n[5],
    groups = { weight = n[6], concurrency = n[7], rate = n[8], burst = n[9] } }
end
local function needLimits()
  if not limits then readLimits(call('HGET', K_m, 'limits') or nil) end
  return limits
end

local groups, touched, haveOwn = {}, {}, nil
local function group(name)
  local g = groups[name]
  if g then return g end
  local text = call('HGET', K_g, name)
  if text then
    local head, tail, off, inTail, listed, ranked, running, deficit, tokens, at, where, paused =
      match(text, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S) (%d)')
    g = { head = tonumber(head), tail = tonumber(tail), off = tonumber(off), inTail = tonumber(inTail),
      listed = tonumber(listed), ranked = tonumber(ranked), running = tonumber(running), deficit = tonumber(deficit),
      tokens = tonumber(tokens), at = tonumber(at), where = where, paused = paused == '1' }
  else
    g = { head = 0, tail = 0, off = 0, inTail = 0, listed = 0, ranked = 0, running = 0, deficit = 0, tokens = -1, at = 0,
      where = '-', paused = false }
  end
  g.name, g.fresh = name, {}
  groups[name] = g
  touched[#touched + 1] = g
  return g
end

local function groupLimits(g)
  if g.limits then return g.limits end
  if haveOwn == nil then haveOwn = call('EXISTS', K_gl) == 1 end
  local own = haveOwn and call('HGET', K_gl, g.name)
  if own then
    local n = limitsOf(own)
    g.limits = { weight = n[1], concurrency = n[2], rate = n[3], burst = n[4] }
  else
    g.limits = needLimits().groups
  end
  return g.limits
end

-- Tokens now; -1 before the first time, which is a full bucket.
local function tokensNow(tokens, at, limit)
  local most = limit.burst >= 1 and limit.burst or max(1, limit.rate)
  if tokens < 0 then return most, most end
  return min(most, tokens + max(0, now - at) * limit.rate / 1000), most
end

local function wake(g)
  if g.paused then
    g.where = 'p'
  elseif g.listed + g.ranked > 0 then
    g.where = 'r'
    call('RPUSH', K_ring, g.name)
  else
    g.where = '-'
  end
end

local function piece(g, number) return g.name .. US .. number end

local function append(name, id, priority)
  local g = group(name)
  if priority > 0 then
    -- A counter of its own: what is tried again comes behind what came meanwhile.
    call('ZADD', K_p, 0, name .. US .. string.format('%07d%013d', priority, call('HINCRBY', K_m, 'seq', 1)) .. id)
    g.ranked = g.ranked + 1
  else
    g.fresh[#g.fresh + 1] = id
    g.listed = g.listed + 1
  end
  if g.where == '-' then wake(g) end
end

local function flush(g)
  local fresh, from = g.fresh, 1
  if not fresh[1] then return end
  if g.listed == #fresh then g.head, g.tail, g.off, g.inTail = g.tail + 1, g.tail + 1, 0, 0 end
  while from <= #fresh do
    if g.inTail >= PIECE then g.tail, g.inTail = g.tail + 1, 0 end
    local to = min(#fresh, from + PIECE - g.inTail - 1)
    local text = table.concat(fresh, ',', from, to) .. ','
    if g.inTail > 0 then text = call('HGET', K_w, piece(g, g.tail)) .. text end
    call('HSET', K_w, piece(g, g.tail), text)
    g.inTail, from = g.inTail + to - from + 1, to + 1
  end
  g.fresh, g.chunk = {}, nil
end

local function prepend(name, ids)
  local g = group(name)
  flush(g)
  if g.listed == 0 then
    for _, id in ipairs(ids) do append(name, id, 0) end
    return
  end
  if g.off > 0 then
    call('HSET', K_w, piece(g, g.head), sub(call('HGET', K_w, piece(g, g.head)), g.off + 1))
    g.off = 0
  end
  g.head, g.chunk = g.head - 1, nil
  call('HSET', K_w, piece(g, g.head), table.concat(ids, ',') .. ',')
  g.listed = g.listed + #ids
end

local function void(id) call('HINCRBY', K_v, id, 1) end

local haveVoid
local function isVoid(id)
  if haveVoid == nil then haveVoid = call('EXISTS', K_v) == 1 end
  if not haveVoid then return false end
  local times = call('HGET', K_v, id)
  if not times then return false end
  if tonumber(times) <= 1 then call('HDEL', K_v, id) else call('HINCRBY', K_v, id, -1) end
  return true
end

local function closePiece(g)
  call('HDEL', K_w, piece(g, g.head))
  g.head, g.off, g.chunk = g.head + 1, 0, nil
end

-- The next of the list, or nothing.
local function popListed(g)
  if g.listed == 0 then return end
  flush(g)
  if not g.chunk then g.chunk = call('HGET', K_w, piece(g, g.head)) end
  local comma = find(g.chunk, ',', g.off + 1, true)
  local id = sub(g.chunk, g.off + 1, comma - 1)
  g.off, g.listed = comma, g.listed - 1
  if comma == #g.chunk then closePiece(g) end
  if g.listed == 0 then g.tail, g.inTail = max(g.tail, g.head), 0 end
  return id
end

local RANKED = 64
local function popRanked(g)
  if g.ranked == 0 then return end
  if not g.heap or not g.heap[g.at1] then
    g.heap = call('ZRANGEBYLEX', K_p, '[' .. g.name .. US, '(' .. g.name .. ' ', 'LIMIT', 0, RANKED)
    g.at1 = 1
  end
  local member = g.heap[g.at1]
  g.at1, g.ranked = g.at1 + 1, g.ranked - 1
  call('ZREM', K_p, member)
  return sub(member, #g.name + 22)
end

local function pop(g)
  while true do
    local id = popListed(g) or popRanked(g)
    if not id or not isVoid(id) then return id end
  end
end

-- Leases of a group have ended.
local function ended(name, leases)
  local g = group(name)
  g.running = max(0, g.running - leases)
  if g.where == 'c' then wake(g) end
end

local function writeGroup(g)
  flush(g)
  local isIdle = g.listed + g.ranked + g.running == 0 and not g.paused
  local limit = g.tokens >= 0 and groupLimits(g)
  if limit and limit.rate == 0 then g.tokens = -1 end
  if isIdle and g.tokens >= 0 then
    local tokens, most = tokensNow(g.tokens, g.at, limit)
    if tokens >= most then g.tokens = -1 else call('ZADD', K_gz, now + math.ceil((most - tokens) * 1000 / limit.rate), g.name) end
  end
  if isIdle and g.tokens < 0 and g.where == '-' then
    call('HDEL', K_g, g.name)
  else
    call('HSET', K_g, g.name, table.concat({ g.head, g.tail, g.off, g.inTail, g.listed, g.ranked, g.running, g.deficit,
      g.tokens, g.at, g.where, g.paused and 1 or 0 }, ' '))
  end
end
local function writeGroups()
  for _, g in ipairs(touched) do writeGroup(g) end
end
`,
};
