-- ARGV: most, ring grace ms.  Gives the batches that are due and not rung lately, and marks them as rung.
local due = {}
for _, batch in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local rung_until = tonumber(redis.call('HGET', ENTRY .. batch, 'rung_until') or 0)
  if rung_until <= now then
    redis.call('HSET', ENTRY .. batch, 'rung_until', now + tonumber(ARGV[2]))
    due[#due + 1] = batch
  end
end
return due
