/**
 * Renews leases. ARGV, per job: id, token (`number:slot`), leaseMs, progress (`=` and JSON; nothing: as it was), log lines (LF behind
 * each, or nothing). Answer: per job `ok`, `lost` or `unknown`, its deadline (0 otherwise), cancel (`-` and the reason,
 * or nothing); one list.
 *
 * Where all that is left of a batch is renewed for as long, that is one write; of other batches, and of those of which
 * few are left, those that are renewed are leased each by itself from now on.
 */
import { BASE } from './lua/base.ts';
import { BATCH_LEAST, BATCHES } from './lua/batches.ts';
import { script } from './scripts.ts';

/** Of one job; older ones go. */
const LOG_LINES_MAX = 100;

export const RENEW = script('renew', BASE, BATCHES, {
  keys: ['a', 'l', 'o', 'e'],
  text: `
even()
useBatches()
local function addLog(id, lines)
  local log = (call('HGET', K_e, id) or '') .. lines
  local _, over = string.gsub(log, '\\n', '')
  local from = 1
  for _ = 1, over - ${LOG_LINES_MAX} do from = find(log, '\\n', from, true) + 1 end
  call('HSET', K_e, id, sub(log, from))
end

local function note(id, progress, lines)
  if progress ~= '' then call('HSET', K_o, id, sub(progress, 2)) end
  if lines ~= '' then addLog(id, lines) end
end

local function renewAlone(id, e, leaseMs)
  local deadline, timeoutMs = now + leaseMs, policyOf(e.policy).timeoutMs
  if timeoutMs > 0 then deadline = min(deadline, tonumber(e.startedAt) + timeoutMs) end
  call('ZADD', K_l, deadline, id)
  return deadline
end

local asks, numbers = {}, {}
while argument < #ARGV do
  local ask = { id = nextArg(), token = nextArg(), leaseMs = nextNumber(), progress = nextArg(), lines = nextArg() }
  asks[#asks + 1], numbers[#numbers + 1] = ask, match(ask.token, '^(%d+):')
end
readBatches(numbers)

-- Of each batch how many of its jobs are renewed, and for how long; false: not for as long.
local renewed = {}
for _, ask in ipairs(asks) do
  ask.batch, ask.slot = heldIn(ask.id, ask.token)
  if ask.batch then
    local of = renewed[ask.batch] or { leaseMs = ask.leaseMs, jobs = 0, seen = {} }
    renewed[ask.batch] = of
    if of.leaseMs ~= ask.leaseMs then of.leaseMs = false end
    if not of.seen[ask.id] then of.jobs, of.seen[ask.id] = of.jobs + 1, true end
  end
end
for batch, of in pairs(renewed) do
  of.isWhole = of.leaseMs and of.jobs == batch.left and batch.left >= ${BATCH_LEAST}
  if of.isWhole then call('ZADD', K_l, now + of.leaseMs, 'b' .. batch.number) end
end

-- @return Deadline, lease; nothing: it is lost.
local function renew(ask)
  if ask.batch and renewed[ask.batch].isWhole then return now + ask.leaseMs, leaseIn(ask.batch, ask.slot) end
  -- Whoever is named twice has left its batch by then.
  if ask.batch and heldIn(ask.id, ask.token) then
    local e = leaseIn(ask.batch, ask.slot)
    takeOut(ask.batch, ask.id, ask.slot, e, now + ask.leaseMs)
    return now + ask.leaseMs, e
  end
  local text = call('HGET', K_a, ask.id)
  if not text then return end
  local e, held = leaseOf(text)
  if held == ask.token then return renewAlone(ask.id, e, ask.leaseMs), e end
end

local answer, n = {}, 0
for _, ask in ipairs(asks) do
  local deadline, e = renew(ask)
  if deadline then
    note(ask.id, ask.progress, ask.lines)
    answer[n + 1], answer[n + 2], answer[n + 3] = 'ok', deadline, e.cancel
  else
    answer[n + 1], answer[n + 2], answer[n + 3] = call('HEXISTS', K_j, ask.id) == 1 and 'lost' or 'unknown', 0, ''
  end
  n = n + 3
end
writeBatches()
writeCounters()
return answer
`,
});
