-- ARGV: batch, token, summary, cause, ttl s, 'expired' or 'kept'.  Gives 1 when this lease let it go: nobody is told, and
-- nothing more is stored.
if not holds(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HSET', ENTRY .. ARGV[1], 'state', 'done', 'summary', ARGV[3], 'cause', ARGV[4], 'changed', now)
redis.call('HDEL', ENTRY .. ARGV[1], 'token', 'progress')
forget_faults(ARGV[1])
note(ARGV[1], ARGV[6], ARGV[4])
redis.call('EXPIRE', ENTRY .. ARGV[1], ARGV[5])
redis.call('ZREM', DUE, ARGV[1])
put(DONE, now, ARGV[1], ARGV[5])
end_attempt(ARGV[6])
return 1
