-- Sends requests that are signed and written out already: FILE holds them with a NUL after each, FROM is the first to send.
local requests, next_one = {}, tonumber(os.getenv("FROM"))

function init()
  local file = assert(io.open(os.getenv("FILE"), "rb"))
  for request in file:read("*a"):gmatch("([^%z]+)") do
    requests[#requests + 1] = request
  end
  file:close()
end

function request()
  next_one = next_one + 1
  return requests[(next_one - 1) % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\n{"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
