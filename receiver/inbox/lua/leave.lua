-- ARGV: batch, token, ms until the lease runs out.  Gives 1 while it is held; its running out is no attempt from now on.
if not holds(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HSET', ENTRY .. ARGV[1], 'leaving', 1)
redis.call('ZADD', DUE, now + tonumber(ARGV[3]), ARGV[1])
return 1
