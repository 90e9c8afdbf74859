-- ARGV: batch, token, lease ms, progress.  Gives 1 while the lease is held.
if not holds(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('ZADD', DUE, now + tonumber(ARGV[3]), ARGV[1])
redis.call('HSET', ENTRY .. ARGV[1], 'progress', ARGV[4])
return 1
