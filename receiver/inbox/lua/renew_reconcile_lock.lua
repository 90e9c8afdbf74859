-- ARGV: token, ms to hold.  Gives 1 while the lock is ours.
if redis.call('HGET', RECONCILE, 'holder') ~= ARGV[1] then
  return 0
end
redis.call('HSET', RECONCILE, 'held_until', now + tonumber(ARGV[2]))
return 1
