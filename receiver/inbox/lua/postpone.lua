-- ARGV: batch, token, delay ms, cause, counter ('attempts', 'waits' or ''), most of that counter, buried ttl s
-- Gives the state it has now, or 'lost' when the lease is not held.
local RESULTS = { attempts = 'postponed', waits = 'not_ready' }
local batch, key = ARGV[1], ENTRY .. ARGV[1]
if not holds(batch, ARGV[2]) then
  return 'lost'
end
if ARGV[5] ~= '' and redis.call('HINCRBY', key, ARGV[5], 1) >= tonumber(ARGV[6]) then
  bury(batch, ARGV[4], ARGV[7])
  end_attempt('buried')
  return 'buried'
end
local due = redis.call('HDEL', key, 'again') == 1 and now or now + tonumber(ARGV[3])
redis.call('HSET', key, 'state', 'open', 'cause', ARGV[4], 'changed', now, 'rung_until', 0)
redis.call('HDEL', key, 'token', 'progress')
redis.call('ZADD', DUE, due, batch)
local result = RESULTS[ARGV[5]] or 'handed_back'
note(batch, result, ARGV[4])
end_attempt(result)
return 'open'
