-- Redis' own clock in milliseconds: no client's clock ever decides who holds a batch.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local DUE, BURIED, DONE, FENCE, DELIVERIES, METRICS, LOOK = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local ENTRY, DELIVERY = 'gbr:entry:', 'gbr:delivery:'

local function count(field) -- pcall: whatever somebody wrote there, the inbox must not stop at it
  redis.pcall('HINCRBY', METRICS, field, 1)
end

local function end_attempt(result)
  count('gbr_attempts_total:' .. result)
end

local function bury(batch, cause, ttl_s)
  redis.call('HSET', ENTRY .. batch, 'state', 'buried', 'cause', cause, 'changed', now)
  redis.call('HDEL', ENTRY .. batch, 'token')
  redis.call('EXPIRE', ENTRY .. batch, ttl_s)
  redis.call('ZREM', DUE, batch)
  redis.call('ZADD', BURIED, now, batch)
  redis.call('EXPIRE', BURIED, ttl_s)
  count('gbr_dead_letters_total')
end

local function holds(batch, token)
  local entry = redis.call('HMGET', ENTRY .. batch, 'state', 'token')
  return entry[1] == 'leased' and entry[2] == token
end
