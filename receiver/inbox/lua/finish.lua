-- ARGV: batch, token, summary, ttl s, 'stored', 'expired' or 'kept', cause or '', the submission that sent it or '',
-- type and data of the notice if any
-- Gives 1 when this lease ended it.
local batch, key = ARGV[1], ENTRY .. ARGV[1]

-- The submission is due in the step that ends its batch, so that no crash can come between. One without an entry is
-- found by a reconcile run.
local function wake(submission)
  local entry = 'gbr:submissions:entry:' .. submission
  local state = redis.call('HGET', entry, 'state')
  if state == 'leased' then
    redis.call('HSET', entry, 'again', 1)
  elseif state == 'open' then
    redis.call('ZADD', 'gbr:submissions:due', 'LT', now, submission)
    redis.call('HSET', entry, 'rung_until', 0)
  end
end

if not holds(batch, ARGV[2]) then
  return 0
end
if ARGV[8] then
  notify(batch, ARGV[8], ARGV[9])
end
if ARGV[7] ~= '' then
  wake(ARGV[7])
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
