-- ARGV: token, ms to hold.  Gives 1 while the look is ours.
if redis.call('HGET', LOOK, 'holder') ~= ARGV[1] then
  return 0
end
redis.call('HSET', LOOK, 'held_until', now + tonumber(ARGV[2]))
return 1
