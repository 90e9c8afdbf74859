-- ARGV: batch, token, lease ms.  Gives 1 while the lease is held.
if not holds(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('ZADD', DUE, now + tonumber(ARGV[3]), ARGV[1])
return 1
