-- ARGV: batch, token, field, text.  Keeps a fact with the entry until it is opened again.  Gives 1 while the lease is held.
if not holds(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HSET', ENTRY .. ARGV[1], ARGV[3], ARGV[4])
return 1
