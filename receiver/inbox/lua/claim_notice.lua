-- ARGV: lease ms, ms that a claim counts as somebody's presence, the types that the target wants (none: all).  Gives
-- nothing, or {name, token, type, batch, data, owed ms, tries} of a due notice of the target whose queue is the eighth key.
local MAX_SCANNED = 100
local queue = KEYS[8]
redis.call('SET', queue .. ':served', now, 'PX', ARGV[2])
redis.pcall('ZREMRANGEBYSCORE', DEAD_NOTICES, '-inf', now - NOTICE_TTL_S * 1000)

local wanted = {}
for i = 3, #ARGV do
  wanted[ARGV[i]] = true
end

local function claim_due()
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, MAX_SCANNED)) do
    local found = redis.pcall('HMGET', NOTICE .. name, 'type', 'batch', 'data', 'owed', 'tries')
    if found.err or not found[1] then -- it expired, or was never ours
      redis.call('ZREM', queue, name)
    elseif #ARGV > 2 and not wanted[found[1]] then
      redis.call('ZREM', queue, name)
      redis.call('DEL', NOTICE .. name)
    else
      local token = next_token()
      redis.call('HSET', NOTICE .. name, 'token', token, 'changed', now)
      redis.call('ZADD', queue, now + ARGV[1], name)
      redis.call('SET', queue .. ':served', now, 'PX', ARGV[1])
      return { name, token, found[1], found[2], found[3], found[4], found[5] }
    end
  end
end

local claimed = claim_due()
if not claimed and bring_back_notices(queue) then
  claimed = claim_due()
end
return claimed
