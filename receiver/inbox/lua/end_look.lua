-- ARGV: token, 'complete', 'unclear' or 'failed', names without a verdict.  Gives 1 when the look was ours.
if redis.call('HGET', LOOK, 'holder') ~= ARGV[1] then
  return 0
end
if ARGV[2] == 'complete' then
  redis.call('HSET', LOOK, 'complete', redis.call('HGET', LOOK, 'began'), 'unclear', ARGV[3])
end
redis.call('HSET', LOOK, 'failed', ARGV[2] == 'failed' and 1 or 0)
redis.call('HDEL', LOOK, 'holder', 'held_until')
return 1
