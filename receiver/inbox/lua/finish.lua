-- ARGV: batch, token, summary, ttl s, type and data of the notice, or nothing.  Gives 1 when this lease finished it.
if not holds(ARGV[1], ARGV[2]) then
  return 0
end
if ARGV[5] then
  notify(ARGV[1], ARGV[5], ARGV[6])
end
redis.call('HSET', ENTRY .. ARGV[1], 'state', 'done', 'summary', ARGV[3], 'changed', now)
redis.call('HDEL', ENTRY .. ARGV[1], 'token', 'cause', 'progress')
forget_faults(ARGV[1])
note(ARGV[1], 'stored', '')
redis.call('EXPIRE', ENTRY .. ARGV[1], ARGV[4])
redis.call('ZREM', DUE, ARGV[1])
put(DONE, now, ARGV[1], ARGV[4])
end_attempt('stored')
return 1
