-- ARGV: names.  Makes them due now, with the whole schedule before them; gives the ones that were there.
local found = {}
for _, name in ipairs(ARGV) do
  if redis.call('EXISTS', NOTICE .. name) == 1 then
    redis.call('HSET', NOTICE .. name, 'tries', 0)
    redis.call('HDEL', NOTICE .. name, 'token', 'died')
    redis.call('EXPIRE', NOTICE .. name, NOTICE_TTL_S)
    redis.call('ZREM', DEAD_NOTICES, name)
    queue_notice(QUEUE .. string.match(name, '^[^/]*'), name, now)
    found[#found + 1] = name
  end
end
return found
