-- ARGV: batch, token, summary, ttl s, 'stored', 'expired' or 'kept', cause or '', type and data of the notice if any
-- Gives 1 when this lease ended it.
local batch, key = ARGV[1], ENTRY .. ARGV[1]
if not holds(batch, ARGV[2]) then
  return 0
end
if ARGV[7] then
  notify(batch, ARGV[7], ARGV[8])
end
redis.call('HSET', key, 'state', 'done', 'summary', ARGV[3], 'changed', now, 'cause', ARGV[6])
redis.call('HDEL', key, 'token', 'progress')
forget_faults(batch)
note(batch, ARGV[5], ARGV[6])
redis.call('EXPIRE', key, ARGV[4])
redis.call('ZREM', DUE, batch)
put(DONE, now, batch, ARGV[4])
end_attempt(ARGV[5])
return 1
