-- ARGV: token, ms between two looks, ms after a failed one, ms to hold, 'due' or 'now'
-- Gives {'held'} or {'early'}, or {'taken', now, start of the last complete look or '', start of the first one ever,
-- names that the last complete one gave no verdict on}.
local look = redis.pcall('HMGET', LOOK, 'held_until', 'began', 'complete', 'failed', 'unclear')
if look.err then -- no hash: somebody else wrote there
  redis.call('DEL', LOOK)
  look = {}
end
local complete = tonumber(look[3]) and look[3] or ''
local pause = look[4] == '1' and ARGV[3] or ARGV[2]
if (tonumber(look[1] or 0) or 0) > now then
  return { 'held' }
end
if ARGV[5] == 'due' and (tonumber(look[2] or 0) or 0) + tonumber(pause) > now then
  return { 'early' }
end
redis.call('HSETNX', LOOK, 'first', now)
redis.call('HSET', LOOK, 'failed', 1, 'began', now, 'holder', ARGV[1], 'held_until', now + tonumber(ARGV[4]))
return { 'taken', now, complete, tonumber(redis.call('HGET', LOOK, 'first')), look[5] or '' }
