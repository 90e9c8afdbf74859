-- Redis' own clock in milliseconds: no client's clock ever decides who holds a batch.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
-- What is later than this was written before the clock was set back. A clock that moves by less delays things by less.
local LATEST = now + 3600000
local DUE, BURIED, DONE, FENCE, DELIVERIES, METRICS, RECONCILE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
-- 'gbr:entry:' of the batches; the ledger of the submissions has its own keys, and the same scripts.
local ENTRY, DELIVERY = string.sub(DUE, 1, -4) .. 'entry:', 'gbr:delivery:'
local IS_OF_BATCHES = DUE == 'gbr:due'
local HISTORY = 'gbr:history:' .. math.floor(now / 1800000) -- a hash each half hour: see receiver/telemetry/metrics/history.py
local TREND = 'gbr:trend:' .. math.floor(now / 10800000) -- and another each three hours, which stays for a month
local HISTORY_TTL_S, TREND_TTL_S, MAX_FIELDS = 26 * 3600, 32 * 86400, 1000
local MAX_STEPS, MAX_DETAIL = 50, 300

local function keep_history()
  redis.call('EXPIRE', HISTORY, HISTORY_TTL_S)
  redis.call('EXPIRE', TREND, TREND_TTL_S)
end

local function count(field) -- pcall: whatever somebody wrote there, the inbox must not stop at it
  if not IS_OF_BATCHES then
    return -- the series count batches
  end
  for _, key in ipairs({ METRICS, HISTORY, TREND }) do
    redis.pcall('HINCRBY', key, field, 1)
  end
  keep_history()
end

-- Adds what a stored batch cost by its model, as `encode_cost` of receiver/telemetry/metrics/definitions.py writes it. Where a hash is full, a model
-- that it does not know yet counts as 'other'.
local function count_cost(cost)
  local model, amount = string.match(cost, '^(%S+) (%S+)$')
  if not model then
    return -- somebody else wrote it
  end
  for _, key in ipairs({ HISTORY, TREND }) do
    local name = model
    if redis.pcall('HEXISTS', key, 'gbr_batches:' .. model) == 0 and redis.call('HLEN', key) >= MAX_FIELDS then
      name = 'other'
    end
    redis.pcall('HINCRBY', key, 'gbr_batches:' .. name, 1)
    if amount == 'unknown' then
      redis.pcall('HINCRBY', key, 'gbr_unpriced:' .. name, 1)
    else
      redis.pcall('HINCRBY', key, 'gbr_cost:' .. name, amount)
    end
  end
  keep_history()
end

local function add_step(rows, step, detail) -- gives the timeline with one more row; the first and the last ones stay
  local row = now .. ' ' .. step .. ' ' .. string.gsub(string.sub(detail, 1, MAX_DETAIL), '\n', ' ')
  if not rows then
    return row
  end
  local _, breaks = string.gsub(rows, '\n', '')
  if breaks + 1 >= MAX_STEPS then
    rows = string.gsub(rows, '^([^\n]*\n)[^\n]*\n', '%1')
  end
  return rows .. '\n' .. row
end

local function note(batch, step, detail)
  local key = ENTRY .. batch
  redis.call('HSET', key, 'timeline', add_step(redis.call('HGET', key, 'timeline'), step, detail))
end

-- Gives a claim its token: a number larger than all before, also within a millisecond, when the clock has gone back (at a
-- failover), and when Redis has forgotten the last one.
local function next_token()
  local last = tonumber(redis.call('GET', FENCE)) or 0
  local token = string.format('%.0f', math.max(last + 1, now * 1000))
  redis.call('SET', FENCE, token)
  return token
end

local function end_attempt(result)
  count('gbr_attempts_total:' .. result)
end

local QUEUE, NOTICE, TARGETS, DEAD_NOTICES = 'gbr:notices:', 'gbr:notice:', 'gbr:notices', 'gbr:dead_notices'
local NOTICE_TTL_S = 30 * 86400 -- longer than the whole schedule

local function put(key, score, member, ttl_s)
  if type(redis.pcall('ZADD', key, score, member)) == 'table' then -- no sorted set: somebody else wrote there
    redis.call('DEL', key)
    redis.call('ZADD', key, score, member)
  end
  redis.call('EXPIRE', key, ttl_s)
end

-- Its target is listed for as long as the queue lives: who reads the outbox finds queues by that list.
local function queue_notice(queue, name, due)
  redis.call('HSET', NOTICE .. name, 'changed', now)
  put(queue, due, name, NOTICE_TTL_S)
  redis.call('SADD', TARGETS, string.sub(queue, #QUEUE + 1))
  redis.call('EXPIRE', TARGETS, NOTICE_TTL_S)
end

-- Makes due what was queued before the clock was set back, not when that time comes again. Gives whether there was any.
local function bring_back_notices(queue)
  local is_any = false
  for _, name in ipairs(redis.call('ZREVRANGEBYSCORE', queue, '+inf', '(' .. LATEST, 'LIMIT', 0, 1000)) do
    local found = redis.pcall('HMGET', NOTICE .. name, 'changed', 'owed')
    local moment = tonumber(found[1] or found[2]) -- earlier versions wrote no 'changed'
    if moment and moment > LATEST then
      redis.call('ZADD', queue, now, name)
      is_any = true
    end
  end
  return is_any
end

-- Adds a notice to the queue of a target. One that says the same has the same name.
local function add_notice(queue, batch, kind, data)
  local target = string.sub(queue, #QUEUE + 1)
  local name = target .. '/msg_' .. redis.sha1hex(table.concat({ kind, batch, data }, '\n'))
  redis.call('DEL', NOTICE .. name)
  redis.call('HSET', NOTICE .. name, 'type', kind, 'batch', batch, 'data', data, 'owed', now, 'tries', 0)
  redis.call('EXPIRE', NOTICE .. name, NOTICE_TTL_S)
  redis.call('ZREM', DEAD_NOTICES, name)
  queue_notice(queue, name, now)
end

-- Adds a notice for each target, whose queues are the keys from the eighth on: in the step that it tells of, so that
-- no crash can come between.
local function notify(batch, kind, data)
  for i = 8, #KEYS do
    add_notice(KEYS[i], batch, kind, data)
  end
end

local function notify_of_burial(batch, cause)
  if #KEYS < 8 then
    return
  end
  local entry = redis.call('HMGET', ENTRY .. batch, 'attempts', 'waits', 'event', 'door', 'accepted')
  notify(batch, IS_OF_BATCHES and 'batch.buried' or 'submission.buried', cjson.encode({ cause = cause, attempts = tonumber(entry[1]), waits = tonumber(entry[2]),
    event = entry[3], source = entry[4], accepted_ms = tonumber(entry[5]) }))
end

local function bury(batch, cause, ttl_s, fault)
  notify_of_burial(batch, cause)
  redis.call('HSET', ENTRY .. batch, 'state', 'buried', 'cause', cause, 'fault', fault, 'changed', now)
  redis.call('HDEL', ENTRY .. batch, 'token', 'progress')
  note(batch, 'buried', cause)
  redis.call('EXPIRE', ENTRY .. batch, ttl_s)
  redis.call('ZREM', DUE, batch)
  put(BURIED, now, batch, ttl_s)
  count('gbr_buried_batches_total')
end

local function forget_faults(batch) -- the other side answered as it should: what comes later is another outage
  redis.call('HDEL', ENTRY .. batch, 'outages', 'outages_since', 'refusals', 'refusals_since')
end

-- Of a project that a person has paused: nobody takes what is its own. What is due of it is looked at again after so
-- long, so that it keeps nobody from what is due behind it.
local PAUSED, PAUSED_MS = 'gbr:paused', 60000
local function is_paused(batch)
  return redis.pcall('HEXISTS', PAUSED, string.match(batch, '^([^/]+)/[^/]+/') or '') == 1
end

local function holds(batch, token)
  local entry = redis.call('HMGET', ENTRY .. batch, 'state', 'token')
  return entry[1] == 'leased' and entry[2] == token
end

-- A submission is due in the step that ends its batch, so that no crash can come between. One without an entry is found
-- by a reconcile run.
local function wake(submission)
  if submission == '' then
    return
  end
  local entry = 'gbr:submissions:entry:' .. submission
  local state = redis.pcall('HGET', entry, 'state')
  if state == 'leased' then
    redis.call('HSETNX', entry, 'again', 'woken')
  elseif state == 'open' then
    redis.call('ZADD', 'gbr:submissions:due', 'LT', now, submission)
    redis.call('HSET', entry, 'rung_until', 0)
  end
end
