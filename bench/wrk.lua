-- Sends requests from a file in random order and says what came of it in one line of JSON.
-- Arguments: the file with complete HTTP requests, ASCII 30 between them; a seed, so that opponents get the same order.

local requests, count = {}, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for request in file:read("*a"):gmatch("[^\30]+") do
    count = count + 1
    requests[count] = request
  end
  file:close()
  math.randomseed(tonumber(arguments[2]))
end

function request()
  return requests[math.random(count)]
end

-- There is no response(): with one, wrk would parse headers and bodies in Lua and become the bottleneck.

function done(summary, latency)
  local errors = summary.errors
  local line = '{"requests":%d,"durationUs":%d,"bytes":%d,"p50Us":%d,"p99Us":%d,'
    .. '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n'
  io.write("plinth-bench ", string.format(
    line, summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout
  ))
end
