-- ARGV: name, token, result ('delivered', 'failed' or 'dead'), delay ms, cause, type.  Gives 1 when this lease settled it.
local name, queue = ARGV[1], KEYS[8]
local key = NOTICE .. name
if redis.call('HGET', key, 'token') ~= ARGV[2] then
  return 0
end
count('gbr_notices_total:' .. ARGV[6] .. ':' .. ARGV[3])
if ARGV[3] == 'delivered' then
  redis.call('DEL', key)
  redis.call('ZREM', queue, name)
  return 1
end
redis.call('HDEL', key, 'token')
redis.call('HINCRBY', key, 'tries', 1)
redis.call('HSET', key, 'cause', ARGV[5])
if ARGV[3] == 'dead' then
  redis.call('HSET', key, 'died', now)
  redis.call('EXPIRE', key, NOTICE_TTL_S)
  redis.call('ZREM', queue, name)
  redis.call('ZADD', DEAD_NOTICES, now, name)
  redis.call('EXPIRE', DEAD_NOTICES, NOTICE_TTL_S)
else
  queue_notice(queue, name, now + ARGV[4])
end
return 1
