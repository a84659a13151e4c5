/**
 * The common way of a job, many in one call: here they are acknowledged and leased, in `add-script.ts` added.
 *
 * BullMQ's own scripts move one job a call and look at the queue anew for each: its settings, what is due, what is
 * full. Here that is looked at once for all, and what can be written at once is. What is written is what BullMQ's scripts
 * write, field for field and event for event (`addStandardJob`, `addDelayedJob`, `addPrioritizedJob`, `moveToActive`,
 * `moveToFinished` of the pinned version), so native clients see no difference; `native-layout.test.ts` compares. What is
 * less common stays with BullMQ: dedup, flows, failures, parents, jobs that native workers hold.
 *
 * As BullMQ's do, they derive the keys of jobs from the queue's, with which these share their hash tag.
 */
import { EVENTS, NOW } from './batch-words.ts';
import { DELAYED_SCORE_UNIT, PARKED_UNTIL_MS } from './queue-place.ts';

/**
 * Completes jobs and leases others. ARGV: prefix of the queue, the most to lease, lease and grace in ms, the worker, the
 * same for a lease's record, how many acks, then id, token and result of each.
 *
 * Answers: now, `1` where leases may be given here (no turns between groups, nobody parked or paused), whether the queue
 * is paused, how long its rate wants to wait (-1: not), when the next is due (0: none is), the first token, what became
 * of the acks (`1`: completed; `0`: not here, and nothing was done), and then the leased.
 */
export const TURN = `${NOW}${EVENTS}
local wait, active, prioritized, stalled, limiter, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[7]
eventsKey, metaKey, markerKey = KEYS[4], KEYS[8], KEYS[10]
local pc, completed, tokens, leases, deadlines = KEYS[9], KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local running, parked, pausedGroups, settings, totals, expiries, retrying =
  KEYS[15], KEYS[16], KEYS[17], KEYS[18], KEYS[19], KEYS[20], KEYS[21]
local prefix, most, leaseMs, lockMs =
  ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), string.format('%d', ARGV[3] + ARGV[4])
local worker, workerField, acks = ARGV[5], ARGV[6], tonumber(ARGV[7])
local meta = call('HMGET', metaKey, 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
local hasTrimmed = false
local function event(...)
  if not hasTrimmed then trimEvents(meta[5]) end
  hasTrimmed = true
  call('XADD', eventsKey, '*', 'event', ...)
end
-- Lua cannot hand more than some thousands of values to one call.
local function each(command, key, list)
  for from = 1, #list, 4000 do
    local to = math.min(from + 3999, #list)
    if key then call(command, key, unpack(list, from, to)) else call(command, unpack(list, from, to)) end
  end
end

-- Numbers cost a while to be written down, so what is written often is a text already.
local nowText = string.format('%d', now)
local gone, ended, endedScores, lastKeep = {}, {}, {}, nil
local function remove()
  local parts = {}
  for _, key in ipairs(gone) do
    for _, part in ipairs({':logs', ':dependencies', ':processed', ':failed', ':unsuccessful'}) do
      parts[#parts + 1] = key .. part
    end
  end
  each('DEL', nil, gone)
  -- Hardly a job has any of these; asking is cheaper than a DEL, which goes to the log as a whole.
  for from = 1, #parts, 4000 do
    local to = math.min(from + 3999, #parts)
    if call('EXISTS', unpack(parts, from, to)) > 0 then call('DEL', unpack(parts, from, to)) end
  end
end
-- Of those with the same retention at once: the last is what counts.
local function keepOnly()
  if #endedScores == 0 then return end
  call('ZADD', completed, unpack(endedScores))
  endedScores = {}
  if lastKeep <= 0 then return end
  for _, id in ipairs(call('ZREVRANGE', completed, lastKeep, -1)) do gone[#gone + 1] = prefix .. id end
  call('ZREMRANGEBYRANK', completed, 0, -(lastKeep + 1))
end
local function freeDedup(key, id)
  local left = call('PTTL', key)
  if left == 0 or (left == -1 and call('GET', key) == id) then call('DEL', key) end
end
local function complete(id, lease, result)
  local keep, attempts, hasDedup = tonumber(lease.keep), lease.attempts, lease.dedup ~= ''
  local jobKey = prefix .. id
  if call('EXISTS', jobKey, jobKey .. ':dependencies', jobKey .. ':unsuccessful') ~= 1 then return false end
  if call('HGET', jobKey, 'parentKey') then return false end
  local dedupId = hasDedup and call('HGET', jobKey, 'deid')
  if dedupId and call('EXISTS', prefix .. 'dn:' .. dedupId) == 1 then return false end
  if call('LREM', active, -1, id) == 0 then return false end
  if dedupId then freeDedup(prefix .. 'de:' .. dedupId, id) end
  if keep ~= lastKeep then keepOnly() end
  lastKeep = keep
  if keep == 0 then gone[#gone + 1] = jobKey
  else
    endedScores[#endedScores + 1] = nowText
    endedScores[#endedScores + 1] = id
    call('HSET', jobKey, 'atm', attempts, 'returnvalue', result, 'finishedOn', nowText)
  end
  event('completed', 'jobId', id, 'returnvalue', result, 'prev', 'active')
  return true
end
local function settle()
  local ids, locks, verdicts, groups = {}, {}, {}, {}
  for i = 1, acks do
    ids[i] = ARGV[5 + 3 * i]
    locks[i] = prefix .. ids[i] .. ':lock'
  end
  local holders, records, freed = call('MGET', unpack(locks)), call('HMGET', leases, unpack(ids)), {}
  for i, id in ipairs(ids) do
    local token, isDone = ARGV[6 + 3 * i], false
    local holder, group, keep, attempts, dedup =
      string.match(records[i] or '', '^(%d+)|[^|]*|[^|]*|([^|]*)|[^|]*||(-?%d+):(%d+)(%+?)$')
    if keep and holder == token and holders[i] == token then
      isDone = complete(id, {keep = keep, attempts = attempts, dedup = dedup}, ARGV[7 + 3 * i])
    end
    if isDone then
      ended[#ended + 1] = id
      freed[#freed + 1] = locks[i]
      groups[group] = (groups[group] or 0) + 1
    end
    verdicts[i] = isDone and '1' or '0'
  end
  if #ended > 0 then
    keepOnly()
    call('DEL', unpack(freed))
    call('SREM', stalled, unpack(ended))
    call('HDEL', leases, unpack(ended))
    call('ZREM', deadlines, unpack(ended))
    if call('EXISTS', expiries) == 1 then call('ZREM', expiries, unpack(ended)) end
    call('HINCRBY', totals, 'completed', #ended)
    for field, count in pairs(groups) do
      if call('HINCRBY', running, 'g:' .. field, -count) <= 0 then call('HDEL', running, 'g:' .. field) end
    end
    if #gone > 0 then remove() end
  end
  return table.concat(verdicts)
end

-- As BullMQ: of what is due up to 1,000 at once, even when nothing can be leased now.
local function promote()
  local ids = call('ZRANGEBYSCORE', delayed, 0, (now + 1) * ${DELAYED_SCORE_UNIT} - 1, 'LIMIT', 0, 1000)
  if #ids == 0 then return end
  call('ZREM', delayed, unpack(ids))
  call('ZREM', retrying, unpack(ids))
  for _, id in ipairs(ids) do
    local priority = tonumber(call('HGET', prefix .. id, 'priority') or 0)
    if priority == 0 then call('LPUSH', wait, id) else call('ZADD', prioritized, score(priority, pc), id) end
    event('waiting', 'jobId', id, 'prev', 'delayed')
    call('HSET', prefix .. id, 'delay', 0)
  end
  if not meta[1] then mark() end
end

-- What the options of a job say of its lease; they are mostly the same.
local words = {}
local function wordsOf(opts)
  local word = words[opts]
  if word then return word end
  local all = cjson.decode(opts)
  local own, keep = all.plinth or {}, all.removeOnComplete
  local count, age = -1, 0
  if keep == true then count = 0
  elseif type(keep) == 'number' then count = keep
  elseif type(keep) == 'table' then count, age = keep.count or -1, keep.age or 0 end
  if own.r then count, age = own.r[1], own.r[2] end
  if count == 0 and age > 0 then count = -1 end
  -- What a dedup id leaves behind is seen to the longer way.
  word = {timeout = own.o or 0, keep = own.d and '' or string.format('%d:', count)}
  words[opts] = word
  return word
end
-- Looking up a dozen fields of a small hash costs more than reading all.
local function found(jobs, id)
  local fields, job = call('HGETALL', prefix .. id), {id = id}
  for i = 1, #fields, 2 do job[fields[i]] = fields[i + 1] end
  if not job.name or not job.opts then return end
  job.fields = fields
  fields[#fields + 1] = id
  jobs[#jobs + 1] = job
end
local function pop(count)
  local jobs = {}
  for _, id in ipairs(call('RPOP', wait, count) or {}) do
    -- Marks of BullMQ before version 5.
    if string.sub(id, 1, 2) ~= '0:' then found(jobs, id) end
  end
  local left = count - #jobs
  if left > 0 then
    local popped = call('ZPOPMIN', prioritized, left)
    if #popped == 0 then call('DEL', pc) end
    for i = 1, #popped, 2 do found(jobs, popped[i]) end
  end
  return jobs
end
local function open(jobs)
  local ids, texts, dues, counted = {}, {}, {}, 0
  local token = call('INCRBY', tokens, #jobs) - #jobs
  local usualDeadline = string.format('%d', now + leaseMs)
  for i, job in ipairs(jobs) do
    local id, word = job.id, wordsOf(job.opts)
    local timeoutAt = word.timeout > 0 and now + word.timeout or 0
    local deadline = word.timeout > 0 and string.format('%d', math.min(now + leaseMs, timeoutAt)) or usualDeadline
    local own = string.format('%d', token + i)
    local kept = word.keep ~= '' and word.keep .. (job.atm or 0) + 1 .. (job.deid and '+' or '') or ''
    if not job.defa then counted = counted + 1 end
    ids[i] = id
    texts[2 * i - 1] = id
    texts[2 * i] = own .. '|' .. nowText .. '|' .. string.format('%d', timeoutAt) .. '||' .. workerField .. '||' .. kept
    dues[2 * i - 1] = deadline
    dues[2 * i] = id
    call('SET', prefix .. id .. ':lock', own, 'PX', lockMs)
    local started = (job.ats or 0) + 1
    if worker == '' then call('HSET', prefix .. id, 'processedOn', nowText, 'ats', started)
    else call('HSET', prefix .. id, 'processedOn', nowText, 'pb', worker, 'ats', started) end
    event('active', 'jobId', id, 'prev', 'waiting')
  end
  call('LPUSH', active, unpack(ids))
  for _, old in ipairs(call('HMGET', leases, unpack(ids))) do
    if old then call('HINCRBY', running, 'g:' .. string.match(old, '^[^|]*|[^|]*|[^|]*|([^|]*)|'), -1) end
  end
  call('HSET', leases, unpack(texts))
  call('ZADD', deadlines, unpack(dues))
  call('HINCRBY', running, 'g:', #jobs)
  if meta[3] and counted > 0 and call('INCRBY', limiter, counted) == counted then
    call('PEXPIRE', limiter, math.floor(math.abs(meta[4])))
  end
  mark()
  return token + 1
end

local verdicts = acks > 0 and settle() or ''
local isPlain = call('HGET', settings, 'fair') ~= '1' and call('EXISTS', parked, pausedGroups) == 0
local jobs, firstToken, rateWait, nextDue = {}, 0, -1, 0
if most > 0 and isPlain then
  promote()
  local free = most
  if meta[2] then free = math.min(free, tonumber(meta[2]) - call('LLEN', active)) end
  if meta[3] then
    local left = tonumber(meta[3]) - tonumber(call('GET', limiter) or 0)
    free = math.min(free, left)
    if left <= 0 then
      rateWait = call('PTTL', limiter)
      if rateWait == 0 then call('DEL', limiter) end
    end
  end
  if not meta[1] and free > 0 then jobs = pop(free) end
  if #jobs > 0 then firstToken = open(jobs) end
  for i, job in ipairs(jobs) do jobs[i] = job.fields end
  nextDue = math.floor((call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2] or 0) / ${DELAYED_SCORE_UNIT})
  if nextDue >= ${PARKED_UNTIL_MS} then nextDue = 0 end
end
if #ended > 0 and #jobs == 0 and call('EXISTS', wait, active, prioritized) == 0 then event('drained') end
return {now, isPlain and 1 or 0, meta[1] and 1 or 0, rateWait, nextDue, firstToken, verdicts, unpack(jobs)}
`;
