/**
 * The small scripts of this lane's own, for what BullMQ has no operation for. Each touches only keys that it is given and
 * takes time from Redis. Here jobs are counted, remembered, and taken in hand: `seize` and `reap` make a job one that is
 * leased by the lane itself, which then ends it as a worker would. So parents, dedup, retention and events stay BullMQ's
 * business. What moves jobs in batches is in
 * `turn-script.ts`.
 */
import type { ChainableCommander, Cluster, Redis } from 'ioredis';
import { ADD } from './add-script.ts';
import { NOW } from './batch-words.ts';
import { DELAYED_SCORE_UNIT, PARKED_UNTIL_MS } from './queue-place.ts';
import { TURN } from './turn-script.ts';

/** A lock that begins so is the lane's: it ends the job. Tokens of leases are digits, so nobody can claim it. */
export const SEIZED = 'plinth:s:';
/** Before the token of a lease whose job is to be cancelled: its worker's own token does not fit any more. */
export const MARKED = 'plinth:c:';

const GROUPS = `
local function allowance(group, limits)
  if redis.call('SISMEMBER', keys.paused, group.name) == 1 then return 0, -1 end
  local free, wait = 1000000, -1
  if limits.concurrency > 0 then
    free = limits.concurrency - tonumber(redis.call('HGET', keys.running, group.field) or 0)
  end
  if limits.rate > 0 then
    local tokens, at = string.match(redis.call('HGET', keys.buckets, group.field) or '', '^([^:]+):(.+)$')
    tokens = tokens and math.min(limits.burst, tonumber(tokens) + (now - tonumber(at)) * limits.rate / 1000) or limits.burst
    group.tokens = tokens
    if tokens < free then free = math.floor(tokens) end
    if tokens < 1 then wait = math.ceil((1 - tokens) * 1000 / limits.rate) end
  end
  return math.max(0, free), wait
end
`;

/** How much may be leased now, and tokens for it. */
const ASK = `${NOW}
local meta = redis.call('HMGET', KEYS[1], 'paused', 'concurrency', 'max')
local delayed = KEYS[4]
local due = redis.call('ZCOUNT', delayed, 0, (now + 1) * ${DELAYED_SCORE_UNIT} - 1)
local waiting = redis.call('LLEN', KEYS[2]) + redis.call('ZCARD', KEYS[3]) + due
local free, rateWait = tonumber(ARGV[1]), -1
if meta[2] then free = math.min(free, tonumber(meta[2]) - redis.call('LLEN', KEYS[5])) end
if meta[3] then
  local left = tonumber(meta[3]) - tonumber(redis.call('GET', KEYS[6]) or 0)
  free = math.min(free, left)
  if left <= 0 then rateWait = redis.call('PTTL', KEYS[6]) end
end
local count = meta[1] and 0 or math.max(0, math.min(free, waiting))
local token = count > 0 and redis.call('INCRBY', KEYS[7], count) or 0
local nextDue = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
nextDue = nextDue and math.floor(nextDue / ${DELAYED_SCORE_UNIT}) or 0
if nextDue >= ${PARKED_UNTIL_MS} then nextDue = 0 end
return {now, token, count, meta[1] and 1 or 0, rateWait, nextDue, redis.call('SCARD', KEYS[8]), due}
`;

/** Remembers leases, and sorts out those whose group may have no more: they are to be parked. BullMQ has locked them. */
const OPEN = `
local keys = {running = KEYS[3], buckets = KEYS[5], paused = KEYS[6]}
local now = tonumber(ARGV[1])
${GROUPS}
local groups, at = {}, 5
for i = 1, tonumber(ARGV[3]) do
  local group = {name = ARGV[at], field = ARGV[at + 1], parked = KEYS[7 + i], taken = 0}
  local limits = {concurrency = tonumber(ARGV[at + 2]), rate = tonumber(ARGV[at + 3]), burst = tonumber(ARGV[at + 4])}
  group.free = allowance(group, limits)
  groups[i] = group
  at = at + 5
end
local verdicts, leases, deadlines, ids = {}, {}, {}, {}
for i = at, #ARGV, 5 do
  local id, group = ARGV[i], groups[tonumber(ARGV[i + 3])]
  if group.free > group.taken then
    group.taken = group.taken + 1
    redis.call('PEXPIRE', KEYS[7 + #groups + (i - at) / 5 + 1], ARGV[4])
    table.insert(ids, id)
    table.insert(leases, id)
    table.insert(leases, ARGV[i + 1])
    table.insert(deadlines, ARGV[i + 2])
    table.insert(deadlines, id)
    table.insert(verdicts, 1)
  else
    redis.call('ZADD', group.parked, ARGV[i + 4], id)
    redis.call('SADD', KEYS[7], group.name)
    table.insert(verdicts, 0)
  end
end
if #ids > 0 then
  for _, old in ipairs(redis.call('HMGET', KEYS[1], unpack(ids))) do
    if old then
      local field = string.match(old, '^[^|]*|[^|]*|[^|]*|([^|]*)|')
      redis.call('HINCRBY', KEYS[3], 'g:' .. field, -1)
    end
  end
  redis.call('HSET', KEYS[1], unpack(leases))
  redis.call('ZADD', KEYS[2], unpack(deadlines))
end
for _, group in ipairs(groups) do
  if group.taken > 0 then
    redis.call('HINCRBY', KEYS[3], group.field, group.taken)
    if group.tokens then redis.call('HSET', KEYS[5], group.field, (group.tokens - group.taken) .. ':' .. now) end
  end
end
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[4], '@') or 0) then
  redis.call('HSET', KEYS[4], '@', ARGV[2])
end
return verdicts
`;

/** Forgets leases that have ended, if they are still those. */
const CLOSE = `
local ids = {}
for i = 1, #ARGV, 2 do table.insert(ids, ARGV[i]) end
local records = redis.call('HMGET', KEYS[1], unpack(ids))
local ended, groups = {}, {}
for i, id in ipairs(ids) do
  local token, field = string.match(records[i] or '', '^([^|]*)|[^|]*|[^|]*|([^|]*)|')
  if token == ARGV[2 * i] then
    table.insert(ended, id)
    groups[field] = (groups[field] or 0) + 1
  end
end
if #ended == 0 then return 0 end
redis.call('HDEL', KEYS[1], unpack(ended))
redis.call('ZREM', KEYS[2], unpack(ended))
redis.call('HDEL', KEYS[4], unpack(ended))
for field, count in pairs(groups) do
  if redis.call('HINCRBY', KEYS[3], 'g:' .. field, -count) <= 0 then redis.call('HDEL', KEYS[3], 'g:' .. field) end
end
return #ended
`;

/** Takes jobs that nobody works on; of one that somebody works on, with mode `cancelled`, marks the lease. */
const SEIZE = `${NOW}
local wait, prioritized, delayed, parents, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local leases, deadlines, cancels = KEYS[6], KEYS[7], KEYS[8]
local mode, token, hold, reason, record = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local function mark(id, lockKey, lock)
  redis.call('HSETNX', cancels, id, reason)
  if not lock or string.sub(lock, 1, 7) == 'plinth:' then return end
  redis.call('SET', lockKey, '${MARKED}' .. lock, 'KEEPTTL')
  if redis.call('HEXISTS', leases, id) == 0 then
    -- A native worker has it: its lease is one of ours from now on, so that somebody ends it.
    redis.call('HSET', leases, id, lock .. string.match(record, '(|.*)$'))
    redis.call('HINCRBY', KEYS[12], 'g:', 1)
    redis.call('ZADD', deadlines, now + math.max(0, redis.call('PTTL', lockKey)), id)
  end
end
local function take(id, jobKey, lockKey)
  if redis.call('EXISTS', jobKey) == 0 then return 'none' end
  if mode == 'expired' and tonumber(redis.call('HGET', jobKey, 'ats') or 0) > 0 then return 'started' end
  local lock = redis.call('GET', lockKey)
  if lock then
    if mode == 'cancelled' then mark(id, lockKey, lock) end
    return 'leased'
  end
  if redis.call('ZSCORE', KEYS[9], id) then return 'completed' end
  if redis.call('ZSCORE', KEYS[10], id) then return 'failed' end
  if redis.call('ZREM', prioritized, id) + redis.call('ZREM', delayed, id) + redis.call('ZREM', parents, id) == 0
    and redis.call('LREM', wait, 1, id) == 0 then
    if mode == 'cancelled' then mark(id, lockKey, lock) end
    return 'leased'
  end
  redis.call('ZREM', KEYS[11], id)
  redis.call('LPUSH', active, id)
  redis.call('SET', lockKey, token, 'PX', hold)
  redis.call('HSET', leases, id, record)
  redis.call('HINCRBY', KEYS[12], 'g:', 1)
  redis.call('ZADD', deadlines, now + hold, id)
  return 'seized'
end
local answers = {}
for i = 6, #ARGV do
  local at = 12 + 2 * (i - 5)
  table.insert(answers, take(ARGV[i], KEYS[at - 1], KEYS[at]))
end
return answers
`;

/** Takes leases away whose time is over. */
const REAP = `${NOW}
local active, leases, deadlines, cancels, running = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, hold = ARGV[1], tonumber(ARGV[2])
local function take(id, lockKey)
  local at = redis.call('ZSCORE', deadlines, id)
  if not at or tonumber(at) > now then return {} end
  local record, lock = redis.call('HGET', leases, id), redis.call('GET', lockKey)
  local holder, field = string.match(record or '', '^([^|]*)|[^|]*|[^|]*|([^|]*)|')
  local isTheirs = lock and (lock == holder or lock == '${MARKED}' .. holder)
  if record and (isTheirs or (not lock and redis.call('LPOS', active, id))) then
    redis.call('SET', lockKey, token, 'PX', hold)
    redis.call('ZADD', deadlines, now + hold, id)
    return {record, redis.call('HGET', cancels, id) or ''}
  end
  if lock and string.sub(lock, 1, ${SEIZED.length}) == '${SEIZED}' then
    redis.call('ZADD', deadlines, now + math.max(1, redis.call('PTTL', lockKey)), id)
    return {}
  end
  redis.call('ZREM', deadlines, id)
  redis.call('HDEL', cancels, id)
  if redis.call('HDEL', leases, id) == 1 then redis.call('HINCRBY', running, 'g:' .. field, -1) end
  return {}
end
local answers = {}
for i = 3, #ARGV do table.insert(answers, take(ARGV[i], KEYS[3 + i])) end
return answers
`;

/** Extends leases that are still these. `grace`: how much longer than the lease the lock lives. */
const RENEW = `${NOW}
local leases, deadlines, cancels, stalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local grace, answers = tonumber(ARGV[1]), {}
for i = 2, #ARGV, 3 do
  local id, token, leaseMs = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local at = 4 + 2 * (i + 1) / 3
  local lock = redis.call('GET', KEYS[at])
  if lock and (lock == token or lock == '${MARKED}' .. token) then
    local timeoutAt = tonumber(string.match(redis.call('HGET', leases, id) or '', '^[^|]*|[^|]*|([^|]*)|') or 0)
    local deadline = now + leaseMs
    if timeoutAt > 0 then deadline = math.min(deadline, timeoutAt) end
    redis.call('SET', KEYS[at], lock, 'PX', math.max(0, deadline - now) + grace)
    redis.call('SREM', stalled, id)
    redis.call('ZADD', deadlines, 'XX', deadline, id)
    table.insert(answers, {deadline, redis.call('HGET', cancels, id)})
  else
    table.insert(answers, redis.call('EXISTS', KEYS[at - 1]) == 1 and 'lost' or 'unknown')
  end
end
return answers
`;

/** Start-time fair queueing: the turn of each job, as a priority of BullMQ. */
const TURNS = `
local virtual = KEYS[1]
if redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) + redis.call('LLEN', KEYS[4]) + redis.call('LLEN', KEYS[5]) == 0 then
  redis.call('DEL', virtual)
end
local now = tonumber(redis.call('HGET', virtual, '@') or 0)
local unit, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local own, turns = {}, {}
for i = 3, #ARGV, 4 do
  local field = ARGV[i]
  local at = own[field] or tonumber(redis.call('HGET', virtual, field) or 0)
  at = math.max(now, at) + 1 / tonumber(ARGV[i + 1])
  -- A job for later takes its turn then.
  if ARGV[i + 3] == '0' then own[field] = at end
  table.insert(turns, math.max(1, math.min(most, math.floor((at + tonumber(ARGV[i + 2])) * unit + 0.5))))
end
for field, at in pairs(own) do redis.call('HSET', virtual, field, string.format('%.17g', at)) end
return turns
`;

/** Parked jobs whose group may have more leases; per group, and when the next group may. */
const UNPARK = `${NOW}
local keys = {running = KEYS[1], buckets = KEYS[2], paused = KEYS[3]}
${GROUPS}
local answers, nextWait = {}, -1
for i = 1, #ARGV / 5 do
  local at = 5 * i - 4
  local group = {name = ARGV[at], field = ARGV[at + 1]}
  local limits = {concurrency = tonumber(ARGV[at + 2]), rate = tonumber(ARGV[at + 3]), burst = tonumber(ARGV[at + 4])}
  local free, wait = allowance(group, limits)
  local parked = KEYS[4 + i]
  if redis.call('EXISTS', parked) == 0 then redis.call('SREM', KEYS[4], group.name) end
  if wait >= 0 and (nextWait < 0 or wait < nextWait) then nextWait = wait end
  table.insert(answers, free > 0 and redis.call('ZRANGE', parked, 0, math.min(free, 500) - 1) or {})
end
return {nextWait, answers}
`;

/**
 * All figures at once. What was noted of jobs that BullMQ or its clients have moved since is put right on the way, as far
 * as it is likely to be wrong: the first retries, the first and the last cancelled ones.
 */
const FIGURES = `${NOW}
local delayed, retrying = KEYS[4], KEYS[10]
for _, id in ipairs(redis.call('ZRANGE', retrying, 0, 999)) do
  if not redis.call('ZSCORE', delayed, id) then redis.call('ZREM', retrying, id) end
end
local failed, cancelled = KEYS[8], KEYS[11]
local first = redis.call('ZRANGE', failed, 0, 0, 'WITHSCORES')[2]
redis.call('ZREMRANGEBYSCORE', cancelled, '-inf', first and '(' .. first or '+inf')
for _, id in ipairs(redis.call('ZREVRANGE', cancelled, 0, 99)) do
  if not redis.call('ZSCORE', failed, id) then redis.call('ZREM', cancelled, id) end
end
local parked = redis.call('ZCOUNT', delayed, ${PARKED_UNTIL_MS * DELAYED_SCORE_UNIT}, '+inf')
return {
  now, redis.call('LLEN', KEYS[2]), redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', delayed), parked,
  redis.call('ZCARD', retrying), redis.call('LLEN', KEYS[5]), redis.call('ZCARD', KEYS[6]), redis.call('ZCARD', KEYS[7]),
  redis.call('ZCARD', failed), redis.call('ZCARD', cancelled), redis.call('HEXISTS', KEYS[1], 'paused'),
  tonumber(redis.call('GET', KEYS[9]) or 0), redis.call('SMEMBERS', KEYS[13]), redis.call('HGETALL', KEYS[12])
}
`;

/** The first of each of the first priorities: one of them is the oldest, since within a priority the first is. */
const FIRSTS = `
local ids, from = {redis.call('LINDEX', KEYS[1], -1) or nil}, 0
for _ = 1, 64 do
  local first = redis.call('ZRANGEBYSCORE', KEYS[2], from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not first[1] then break end
  table.insert(ids, first[1])
  from = (math.floor(tonumber(first[2]) / 4294967296) + 1) * 4294967296
end
return ids
`;

/** Brings turns down by `offset`, so that they never come to the end of BullMQ's priorities. */
const REBASE = `
local offset = tonumber(ARGV[1])
for i = 2, #ARGV do
  local jobKey, priority = KEYS[i], 0
  priority = tonumber(redis.call('HGET', jobKey, 'priority') or 0)
  if priority >= offset then
    local lowered = math.max(1, priority - offset)
    redis.call('HSET', jobKey, 'priority', lowered)
    local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
    if score then redis.call('ZADD', KEYS[1], tonumber(score) - (priority - lowered) * 4294967296, ARGV[i]) end
  end
end
return 1
`;

/** Fields of jobs, unless the job is gone. */
const NOTE = `
for i, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, ARGV[2 * i - 1], ARGV[2 * i]) end
end
return 1
`;

/** The time of the server that has the queue. */
const TIME = `${NOW}
return now
`;

const SOURCES = { ADD, TURN, ASK, OPEN, CLOSE, SEIZE, REAP, RENEW, TURNS, UNPARK, FIGURES, FIRSTS, REBASE, NOTE, TIME };
export type OwnScript = keyof typeof SOURCES;
type Runner = Record<string, (...args: (string | number)[]) => Promise<unknown>>;

const nameOf = (script: OwnScript): string => `plinthStandard${script}`;

/** Teaches a connection the scripts. */
export function teach(redis: Redis | Cluster): void {
  for (const [name, lua] of Object.entries(SOURCES)) redis.defineCommand(nameOf(name as OwnScript), { lua });
}

/** Runs one; on a pipeline it answers nothing of its own. */
export async function run<Answer>(
  redis: Redis | Cluster | ChainableCommander,
  script: OwnScript,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<Answer> {
  return (await (redis as unknown as Runner)[nameOf(script)]!(keys.length, ...keys, ...args)) as Answer;
}
