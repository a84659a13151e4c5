import { EVENTS } from './batch-words.ts';
import { DELAYED_SCORE_UNIT } from './queue-place.ts';

/**
 * Adds jobs. ARGV: prefix of the queue, now, the most unfinished jobs (0: any), how many shapes, then shapes (options,
 * delay, priority), how long each call is remembered, and, of each job, name, data, its shape and its place in an idempotent call (`<call>:<place>`, or '').
 * Answers an id for each; `=<id>` is that of the first time; '' is one that found no room.
 */
export const ADD = `${EVENTS}
local wait, active, prioritized, delayed, parents, idKey, pc = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
eventsKey, metaKey, markerKey = KEYS[8], KEYS[9], KEYS[10]
local dedups, CALLS = KEYS[11], 11
local prefix, now, jobsMax, shapes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ttls = 4 + 3 * shapes - CALLS
local first = ttls + #KEYS + 1
local room = math.huge
if jobsMax > 0 then
  room = jobsMax - call('LLEN', wait) - call('LLEN', active) - call('ZCARD', prioritized) - call('ZCARD', delayed)
    - call('ZCARD', parents)
end
-- Of each call what it has made: earlier, in this batch, and what of that is to be remembered.
local known, asked, made = {}, {}, {}
for at = CALLS + 1, #KEYS do
  known[at] = call('EXISTS', KEYS[at]) == 1
  asked[at] = {}
  made[at] = {}
end
local answers, fresh, twice = {}, {}, {}
for i = first, #ARGV, 4 do
  local callAt, place = string.match(ARGV[i + 3], '^(%d+):(%d+)$')
  callAt = callAt and CALLS + tonumber(callAt)
  local earlier = callAt and known[callAt] and call('HGET', KEYS[callAt], place)
  local answer = #answers + 1
  if earlier then answers[answer] = '=' .. earlier
  elseif callAt and asked[callAt][place] then
    answers[answer] = ''
    twice[answer] = asked[callAt][place]
  elseif room < 1 then answers[answer] = ''
  else
    room = room - 1
    answers[answer] = ''
    if callAt then asked[callAt][place] = answer end
    fresh[#fresh + 1] = {i, answer, callAt, place}
  end
end
if #fresh == 0 then return answers end
local meta = call('HMGET', metaKey, 'opts.maxLenEvents', 'paused', 'concurrency')
local isClosed = meta[2] or (meta[3] and call('LLEN', active) >= tonumber(meta[3]))
trimEvents(meta[1])
local id = call('INCRBY', idKey, #fresh) - #fresh
local waiting, hasDelayed, hasReady = {}, false, false
local function schedule(jobId, delay)
  local dueAt = now + delay
  local low, high = dueAt * ${DELAYED_SCORE_UNIT}, (dueAt + 1) * ${DELAYED_SCORE_UNIT} - 1
  local last = call('ZREVRANGEBYSCORE', delayed, high, low, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  call('ZADD', delayed, last and math.min(high, tonumber(last) + 1) or low, jobId)
  call('XADD', eventsKey, '*', 'event', 'delayed', 'jobId', jobId, 'delay', dueAt)
  hasDelayed = true
end
for _, job in ipairs(fresh) do
  local i = job[1]
  id = id + 1
  local jobId = string.format('%d', id)
  local shape = 2 + 3 * tonumber(ARGV[i + 2])
  local name, delay, priority = ARGV[i], ARGV[shape + 1], ARGV[shape + 2]
  call('HSET', prefix .. jobId, 'name', name, 'data', ARGV[i + 1], 'opts', ARGV[shape], 'timestamp', ARGV[2],
    'delay', delay, 'priority', priority)
  call('XADD', eventsKey, '*', 'event', 'added', 'jobId', jobId, 'name', name)
  if delay ~= '0' then schedule(jobId, tonumber(delay))
  else
    hasReady = true
    if priority == '0' then waiting[#waiting + 1] = jobId
    else call('ZADD', prioritized, score(tonumber(priority), pc), jobId) end
    call('XADD', eventsKey, '*', 'event', 'waiting', 'jobId', jobId)
  end
  answers[job[2]] = jobId
  local own = made[job[3]]
  if own then
    own[#own + 1] = job[4]
    own[#own + 1] = jobId
  end
end
if #waiting > 0 then call('LPUSH', wait, unpack(waiting)) end
if hasReady and not isClosed then mark() end
if hasDelayed then markDelayed(delayed) end
for answer, same in pairs(twice) do answers[answer] = '=' .. answers[same] end
for at, own in pairs(made) do
  if #own > 0 then
    call('HSET', KEYS[at], unpack(own))
    call('PEXPIRE', KEYS[at], ARGV[ttls + at])
    call('ZADD', dedups, now + ARGV[ttls + at], '\\1' .. KEYS[at])
  end
end
return answers
`;
