-- ARGV: batch, token, what was read.  Gives nothing when the lease is not held, else the doubted
-- readings so far: how many, how many of the latest are the same, and the ms since the first of those.
local key = ENTRY .. ARGV[1]
if not holds(ARGV[1], ARGV[2]) then
  return nil
end
local before = redis.call('HMGET', key, 'reading', 'readings', 'same_readings', 'same_since', 'reading_token')
if before[1] == ARGV[3] and before[5] == ARGV[2] then
  return { tonumber(before[2]), tonumber(before[3]), now - tonumber(before[4]) }
end
local readings, same, since = tonumber(before[2] or 0) + 1, 1, now
if before[1] == ARGV[3] then
  same, since = tonumber(before[3]) + 1, tonumber(before[4])
end
redis.call('HSET', key, 'reading', ARGV[3], 'readings', readings, 'same_readings', same,
  'same_since', since, 'reading_token', ARGV[2])
return { readings, same, now - since }
