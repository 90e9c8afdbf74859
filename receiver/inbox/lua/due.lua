-- ARGV: most to give, grace ms, done ttl s, buried ttl s, most to scan
-- Gives the batches that are due and got no job within the grace, which begins anew for them. Removes what points to
-- no entry.
redis.pcall('ZREMRANGEBYSCORE', DONE, '-inf', now - ARGV[3] * 1000)
redis.pcall('ZREMRANGEBYSCORE', BURIED, '-inf', now - ARGV[4] * 1000)
-- What was written before the clock was set back is due now, not when that time comes again. No lease is so long.
for _, batch in ipairs(redis.call('ZREVRANGEBYSCORE', DUE, '+inf', LATEST, 'LIMIT', 0, 100)) do
  local changed = redis.pcall('HGET', ENTRY .. batch, 'changed')
  if type(changed) == 'string' and (tonumber(changed) or 0) > LATEST then
    redis.call('ZADD', DUE, now, batch)
    redis.call('HSET', ENTRY .. batch, 'changed', now, 'rung_until', 0)
  end
end
local due = {}
for _, batch in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, ARGV[5])) do
  if #due >= tonumber(ARGV[1]) then
    break
  end
  local entry = redis.pcall('HMGET', ENTRY .. batch, 'state', 'rung_until')
  if entry.err or not entry[1] then -- it is gone, or was never ours
    redis.call('ZREM', DUE, batch)
  elseif is_paused(batch) then
    redis.call('ZADD', DUE, now + PAUSED_MS, batch)
  elseif (tonumber(entry[2]) or 0) <= now then
    redis.call('HSET', ENTRY .. batch, 'rung_until', now + tonumber(ARGV[2]))
    due[#due + 1] = batch
  end
end
return due
