-- ARGV: token, 'complete', 'unclear' or 'failed', names that got no verdict.  Gives 1 when the lock was ours.
if redis.call('HGET', RECONCILE, 'holder') ~= ARGV[1] then
  return 0
end
if ARGV[2] == 'complete' then
  redis.call('HSET', RECONCILE, 'complete', redis.call('HGET', RECONCILE, 'began'), 'unclear', ARGV[3])
end
redis.call('HSET', RECONCILE, 'failed', ARGV[2] == 'failed' and 1 or 0)
redis.call('HDEL', RECONCILE, 'holder', 'held_until')
return 1
