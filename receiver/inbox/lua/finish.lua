-- ARGV: batch, token, summary, ttl s, 'stored', 'expired' or 'kept', cause or '', the submission that sent it or '',
-- type and data of the notice if any
-- Gives 1 when this lease ended it.
local batch, key = ARGV[1], ENTRY .. ARGV[1]

if not holds(batch, ARGV[2]) then
  return 0
end
if ARGV[8] then
  notify(batch, ARGV[8], ARGV[9])
end
wake(ARGV[7])
if not IS_OF_BATCHES and redis.call('HGET', key, 'again') == '1' then -- somebody has said more since it was claimed
  redis.call('HSET', key, 'state', 'open', 'cause', ARGV[6], 'changed', now, 'rung_until', 0, 'attempts', 0)
  redis.call('HDEL', key, 'token', 'progress', 'again')
  redis.call('ZADD', DUE, now, batch)
  note(batch, 'again', ARGV[6])
  return 1
end
redis.call('HSET', key, 'state', 'done', 'summary', ARGV[3], 'changed', now, 'cause', ARGV[6])
local cost = redis.call('HGET', key, 'cost') -- recorded before the manifest was written
if cost then
  count_cost(cost)
end
redis.call('HDEL', key, 'token', 'progress', 'cost')
forget_faults(batch)
note(batch, ARGV[5], ARGV[6])
redis.call('EXPIRE', key, ARGV[4])
redis.call('ZREM', DUE, batch)
put(DONE, now, batch, ARGV[4])
end_attempt(ARGV[5])
return 1
