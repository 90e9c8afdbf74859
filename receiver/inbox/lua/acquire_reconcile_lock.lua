-- ARGV: token, ms between two runs, ms after a failed one, ms to hold, 'due' or 'now'
-- Gives {'held'} or {'early'}, or {'acquired', now, start of the last complete run or '', start of the first one
-- ever, names that the last complete one could not judge}.
local lock = redis.pcall('HMGET', RECONCILE, 'held_until', 'began', 'complete', 'failed', 'unclear', 'first')
if lock.err then -- no hash: somebody else wrote there
  redis.call('DEL', RECONCILE)
  lock = {}
end
-- What lies further ahead than a clock is ever corrected by was written before it was set back: it holds nobody up, and
-- hides no batch.
local hold = tonumber(ARGV[4])
local latest = now + hold
local complete = tonumber(lock[3])
complete = complete and complete <= latest and lock[3] or ''
local pause = lock[4] == '1' and ARGV[3] or ARGV[2]
local held_until = tonumber(lock[1]) or 0
if held_until > now and held_until <= latest + hold then
  return { 'held' }
end
local began = tonumber(lock[2]) or 0
if ARGV[5] == 'due' and began <= latest and began + tonumber(pause) > now then
  return { 'early' }
end
local first = tonumber(lock[6]) or now
if first > latest then
  first = now
end
redis.call('HSET', RECONCILE, 'failed', 1, 'began', now, 'holder', ARGV[1], 'held_until', latest, 'first', first)
return { 'acquired', now, complete, first, lock[5] or '' }
