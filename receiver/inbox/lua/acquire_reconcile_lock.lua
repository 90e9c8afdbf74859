-- ARGV: token, ms between two runs, ms after a failed one, ms to hold, 'due' or 'now'
-- Gives {'held'} or {'early'}, or {'acquired', now, start of the last complete run or '', start of the first one
-- ever, names that the last complete one could not judge}.
local lock = redis.pcall('HMGET', RECONCILE, 'held_until', 'began', 'complete', 'failed', 'unclear')
if lock.err then -- no hash: somebody else wrote there
  redis.call('DEL', RECONCILE)
  lock = {}
end
local complete = tonumber(lock[3]) and lock[3] or ''
local pause = lock[4] == '1' and ARGV[3] or ARGV[2]
if (tonumber(lock[1] or 0) or 0) > now then
  return { 'held' }
end
if ARGV[5] == 'due' and (tonumber(lock[2] or 0) or 0) + tonumber(pause) > now then
  return { 'early' }
end
redis.call('HSETNX', RECONCILE, 'first', now)
redis.call('HSET', RECONCILE, 'failed', 1, 'began', now, 'holder', ARGV[1], 'held_until', now + tonumber(ARGV[4]))
return { 'acquired', now, complete, tonumber(redis.call('HGET', RECONCILE, 'first')), lock[5] or '' }
