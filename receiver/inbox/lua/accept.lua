-- ARGV: delivery ttl s, ms that a job may wait before the sweep enqueues another, deliveries to log, the events as
-- MessagePack: an array for each, in the order of `accept` below
-- Gives a digit per event: 1 where it opened an entry.
-- The source's field is called 'door', and the end of the job's grace 'rung_until': earlier versions read them beside us.
local delivery_ttl, most_logged = ARGV[1], ARGV[3]
local moment = string.format('%.0f', now) -- as text, and once: Redis writes out each number that it is given
local grace_end = string.format('%.0f', now + ARGV[2])
local verdicts, rows, opened, due = {}, {}, {}, {}

local function open(batch, event, source, metadata, trace, is_known)
  local key, timeline, first = ENTRY .. batch, false, nil
  if is_known then
    local before = redis.call('HMGET', key, 'metadata', 'timeline', 'first', 'accepted')
    timeline, first = before[2], before[3] or before[4]
    if metadata == '' then -- a replay brings none: what a delivery brought once still names the outputs
      metadata = before[1] or ''
    end
    redis.call('DEL', key)
  end
  redis.call('HSET', key, 'state', 'open', 'event', event, 'door', source, 'attempts', '0', 'waits', '0',
    'accepted', moment, 'changed', moment, 'rung_until', grace_end,
    'timeline', add_step(timeline, 'accepted', event .. ' ' .. source))
  if first then
    redis.call('HSET', key, 'first', first)
  end
  if metadata ~= '' then
    redis.call('HSET', key, 'metadata', metadata)
  end
  if trace ~= '' then
    redis.call('HSET', key, 'trace', trace)
  end
  opened[#opened + 1] = batch
  due[#due + 1] = moment
  due[#due + 1] = batch
  return true
end

local function accept(batch, event, source, delivery, metadata, reopen, trace)
  if delivery ~= '' and not redis.call('SET', DELIVERY .. delivery, batch, 'NX', 'EX', delivery_ttl) then
    return false
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
    redis.call('ZADD', DUE, 'LT', moment, batch)
    redis.call('HSET', ENTRY .. batch, 'rung_until', grace_end)
  elseif state == 'leased' then
    redis.call('HSET', ENTRY .. batch, 'again', '1')
  end
  return false
end

local function in_parts(values, call) -- Lua passes some thousand arguments at most
  for first = 1, #values, 1000 do
    call(unpack(values, first, math.min(first + 999, #values)))
  end
end

for i, one in ipairs(cmsgpack.unpack(ARGV[4])) do
  local batch, event, delivery = one[1], one[2], one[4]
  local is_open = accept(unpack(one))
  verdicts[i] = is_open and '1' or '0'
  if delivery ~= '' then
    rows[#rows + 1] = table.concat({ moment, is_open and 'accepted' or 'known', delivery, event, batch }, '\n')
  end
end
-- Together: a call for each costs more than what it does. pcall: whatever somebody wrote there, no delivery fails at it.
in_parts(due, function(...) redis.call('ZADD', DUE, ...) end)
in_parts(opened, function(...) redis.pcall('ZREM', BURIED, ...) end)
in_parts(opened, function(...) redis.pcall('ZREM', DONE, ...) end)
if #rows > 0 then -- as text: a stream costs every delivery a third more of Redis' time
  in_parts(rows, function(...) redis.pcall('LPUSH', DELIVERIES, ...) end)
  redis.pcall('LTRIM', DELIVERIES, 0, most_logged - 1)
end
return table.concat(verdicts)
