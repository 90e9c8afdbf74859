-- Redis' own clock in milliseconds: no client's clock ever decides who holds a batch.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local DUE, BURIED, DONE, FENCE, DELIVERIES, METRICS, LOOK = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local ENTRY, DELIVERY = 'gbr:entry:', 'gbr:delivery:'
local HISTORY = 'gbr:history:' .. math.floor(now / 1800000) -- a hash each half hour: see receiver/metrics/history.py
local HISTORY_TTL_S = 26 * 3600
local MOST_STEPS, MOST_DETAIL = 50, 300

local function count(field) -- pcall: whatever somebody wrote there, the inbox must not stop at it
  redis.pcall('HINCRBY', METRICS, field, 1)
  redis.pcall('HINCRBY', HISTORY, field, 1)
  redis.call('EXPIRE', HISTORY, HISTORY_TTL_S)
end

local function add_step(rows, step, detail) -- gives the timeline with one more row; the first and the last ones stay
  local row = now .. ' ' .. step .. ' ' .. string.gsub(string.sub(detail, 1, MOST_DETAIL), '\n', ' ')
  if not rows then
    return row
  end
  local _, breaks = string.gsub(rows, '\n', '')
  if breaks + 1 >= MOST_STEPS then
    local first = string.find(rows, '\n', 1, true)
    rows = string.sub(rows, 1, first) .. string.sub(rows, string.find(rows, '\n', first + 1, true) + 1)
  end
  return rows .. '\n' .. row
end

local function note(batch, step, detail)
  local key = ENTRY .. batch
  redis.call('HSET', key, 'timeline', add_step(redis.call('HGET', key, 'timeline'), step, detail))
end

local function end_attempt(result)
  count('gbr_attempts_total:' .. result)
end

local function bury(batch, cause, ttl_s)
  redis.call('HSET', ENTRY .. batch, 'state', 'buried', 'cause', cause, 'changed', now)
  redis.call('HDEL', ENTRY .. batch, 'token', 'progress')
  note(batch, 'buried', cause)
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
