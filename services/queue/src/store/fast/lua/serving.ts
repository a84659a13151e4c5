/**
 * Who is served: deficit round robin over the groups in the ring.
 *
 * A group at its turn gets its weight in jobs more that it may take, takes as many as there are, and goes to the end.
 * What it could not take because the batch was full it keeps, and stays at the head; what it had left when its list
 * was empty it loses. A group that may not go on (running as many as it may, no token, paused) leaves the ring and comes
 * back when that has changed, so that nobody looks at it in between.
 *
 * Jobs of the other groups are not touched: the cost is that of the batch.
 */
import type { LuaPart } from '../scripts.ts';

export const SERVING: LuaPart = {
  keys: ['ring', 'gz'],
  text: `
local pick
do
-- The most groups one call looks at: what it costs beside the jobs is bounded by this.
local VISITS_MAX = 1000
-- How many a group may have now; fewer than 1, and it has been taken from the ring.
local function allowance(g, want)
  local limit = groupLimits(g)
  if g.paused then g.where = 'p' return 0 end
  if g.listed + g.ranked == 0 then g.where, g.deficit = '-', 0 return 0 end
  if limit.concurrency > 0 then
    want = min(want, limit.concurrency - g.running)
    if want < 1 then g.where = 'c' return 0 end
  end
  if limit.rate > 0 then
    g.tokens = tokensNow(g.tokens, g.at, limit)
    g.at = now
    if g.tokens < 1 then
      g.where = 'z'
      call('ZADD', K_gz, now + math.ceil((1 - g.tokens) * 1000 / limit.rate), g.name)
      return 0
    end
    want = min(want, floor(g.tokens))
  end
  return want
end

local function serve(g, want, picked)
  local taken = 0
  while taken < want do
    local id = pop(g)
    if not id then break end
    taken = taken + 1
    push(picked, id, g)
  end
  g.running = g.running + taken
  if groupLimits(g).rate > 0 then g.tokens = g.tokens - taken end
  return taken
end

function pick(want)
  local picked, served, visits = {}, {}, 0
  while want > 0 and visits < VISITS_MAX do
    local queue = call('LRANGE', K_ring, 0, want - 1)
    local first, last, length = 1, #queue, #queue
    if length == 0 then break end
    local isWhole, isChanged = length < want or call('LLEN', K_ring) == length, false
    while want > 0 and first <= last and visits < VISITS_MAX do
      local g = group(queue[first])
      visits = visits + 1
      local isAlone = isWhole and first == last
      if g.deficit < 1 then g.deficit = g.deficit + groupLimits(g).weight end
      local may = allowance(g, isAlone and want or min(want, floor(g.deficit)))
      if may < 1 then
        first, isChanged = first + 1, true
      else
        local taken = serve(g, may, picked)
        want = want - taken
        g.deficit = isAlone and 0 or g.deficit - taken
        if g.listed + g.ranked == 0 then
          g.where, g.deficit = '-', 0
          first, isChanged = first + 1, true
        elseif g.deficit < 1 and not isAlone then
          if isWhole then
            last = last + 1
            queue[last] = g.name
          else
            served[#served + 1] = g.name
          end
          first, isChanged = first + 1, true
        end
      end
    end
    if not isChanged then break end
    call('LTRIM', K_ring, length, -1)
    local rest = {}
    for i = last, first, -1 do rest[#rest + 1] = queue[i] end
    if rest[1] then eachSlice(rest, function(...) call('LPUSH', K_ring, ...) end) end
    if isWhole then break end
  end
  if served[1] then eachSlice(served, function(...) call('RPUSH', K_ring, ...) end) end
  return picked
end
end
`,
};
