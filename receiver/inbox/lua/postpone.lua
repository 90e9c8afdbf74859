-- ARGV: batch, token, delay ms, cause, counter, most of that counter or 0, buried ttl s, whose fault it is
-- Counters are 'attempts', 'waits', 'outages' and 'refusals'; '' counts nothing. The last two count those in a row, and
-- remember when the row began. 'settled' counts nothing and forgets what was counted: all that could be done is done.
-- Gives the state it has now, or 'lost' when the lease is not held.
local RESULTS = { attempts = 'postponed', waits = 'not_ready', outages = 'outage', refusals = 'refused', settled = 'waiting' }
local batch, key = ARGV[1], ENTRY .. ARGV[1]
if not holds(batch, ARGV[2]) then
  return 'lost'
end
local is_counted = ARGV[5] ~= '' and ARGV[5] ~= 'settled'
local count, most = is_counted and redis.call('HINCRBY', key, ARGV[5], 1), tonumber(ARGV[6])
if count and most > 0 and count >= most then
  bury(batch, ARGV[4], ARGV[7], ARGV[8])
  end_attempt('buried')
  return 'buried'
end
if ARGV[5] == 'settled' then
  redis.call('HSET', key, 'attempts', 0, 'waits', 0)
end
if ARGV[5] == 'waits' or ARGV[5] == 'settled' then
  forget_faults(batch)
elseif ARGV[5] == 'outages' or ARGV[5] == 'refusals' then
  redis.call('HSETNX', key, ARGV[5] .. '_since', now)
end
if ARGV[5] == 'outages' then -- it says nothing for or against the refusals before it
  redis.call('HDEL', key, 'refusals', 'refusals_since')
end
local due = redis.call('HDEL', key, 'again') == 1 and now or now + tonumber(ARGV[3])
redis.call('HSET', key, 'state', 'open', 'cause', ARGV[4], 'changed', now, 'rung_until', 0)
redis.call('HDEL', key, 'token', 'progress')
redis.call('ZADD', DUE, due, batch)
local result = RESULTS[ARGV[5]] or 'handed_back'
note(batch, result, ARGV[4])
end_attempt(result)
return 'open'
