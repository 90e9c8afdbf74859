-- ARGV: delivery ttl s, ms that a job may wait before the sweep enqueues another, deliveries to log, then for each
-- event: batch, delivery id, event, source, metadata, reopen, trace
-- Gives a verdict per event: 'accepted' when it opened an entry, else 'known'.
-- The source's field is called 'door', and the end of the job's grace 'rung_until': earlier versions read them beside us.
local delivery_ttl, grace, most_logged = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local verdicts, rows = {}, {}

local function open(batch, event, source, metadata, trace, is_known)
  local key, timeline, first = ENTRY .. batch, false, now
  if is_known then
    local before = redis.call('HMGET', key, 'metadata', 'timeline', 'first', 'accepted')
    timeline, first = before[2], before[3] or before[4]
    if metadata == '' then -- a replay brings none: what a delivery brought once still names the outputs
      metadata = before[1] or ''
    end
    redis.call('DEL', key)
  end
  redis.call('HSET', key, 'state', 'open', 'event', event, 'door', source, 'metadata', metadata, 'attempts', 0, 'waits', 0,
    'accepted', now, 'first', first, 'changed', now, 'rung_until', now + grace,
    'trace', trace, 'timeline', add_step(timeline, 'accepted', event .. ' ' .. source))
  redis.pcall('ZREM', BURIED, batch)
  redis.pcall('ZREM', DONE, batch)
  redis.call('ZADD', DUE, now, batch)
  return 'accepted'
end

local function accept(batch, delivery, event, source, metadata, reopen, trace)
  if delivery ~= '' and not redis.call('SET', DELIVERY .. delivery, batch, 'NX', 'EX', delivery_ttl) then
    return 'known'
  end
  local state = redis.pcall('HGET', ENTRY .. batch, 'state')
  if type(state) == 'table' then -- no hash: somebody else wrote there
    redis.call('DEL', ENTRY .. batch)
    state = false
  end
  if not state or (state == 'done' and reopen ~= 'none') or (state == 'buried' and reopen == 'all') then
    return open(batch, event, source, metadata, trace, state)
  end
  if metadata ~= '' then
    redis.call('HSET', ENTRY .. batch, 'metadata', metadata)
  end
  if state == 'open' then
    redis.call('ZADD', DUE, 'LT', now, batch)
    redis.call('HSET', ENTRY .. batch, 'rung_until', now + grace)
  elseif state == 'leased' then
    redis.call('HSET', ENTRY .. batch, 'again', 1)
  end
  return 'known'
end

for i = 4, #ARGV, 7 do
  local batch, delivery, event, source = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local verdict = accept(batch, delivery, event, source, ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
  verdicts[#verdicts + 1] = verdict
  if delivery ~= '' then
    rows[#rows + 1] = table.concat({ now, verdict, delivery, event, batch }, '\n')
  end
end
if #rows > 0 then -- together, and as text: a stream costs every delivery a third more of Redis' time
  redis.pcall('LPUSH', DELIVERIES, unpack(rows)) -- pcall: whatever somebody wrote there, no delivery must fail at it
  redis.pcall('LTRIM', DELIVERIES, 0, most_logged - 1)
end
return verdicts
