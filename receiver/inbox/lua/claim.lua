-- ARGV: batch, lease ms, most attempts, buried ttl s, id of this claim or ''.  A claim whose answer was lost comes again
-- under its id, and gets the lease that it has. Gives nothing, or
-- {token, attempts, waits, metadata, trace, outages, ms since the first, refusals, ms since the first, first accepted
-- at, source}
local batch, key = ARGV[1], ENTRY .. ARGV[1]
local entry = redis.call('HMGET', key, 'state', 'attempts', 'waits', 'metadata', 'trace', 'leaving',
  'outages', 'outages_since', 'refusals', 'refusals_since', 'first', 'accepted', 'door', 'token', 'claim')
local function lease(token, attempts)
  return { token, attempts, tonumber(entry[3]), entry[4], entry[5] or '',
    tonumber(entry[7] or 0), now - (tonumber(entry[8]) or now),
    tonumber(entry[9] or 0), now - (tonumber(entry[10]) or now),
    entry[11] or entry[12], entry[13] }
end
if entry[1] == 'leased' and ARGV[5] ~= '' and entry[15] == ARGV[5] .. ' ' .. entry[14] then
  redis.call('ZADD', DUE, now + tonumber(ARGV[2]), batch)
  return lease(entry[14], tonumber(entry[2]))
end
local score = redis.call('ZSCORE', DUE, batch)
if not score or tonumber(score) > now or (entry[1] ~= 'open' and entry[1] ~= 'leased') then
  return nil
end
if is_paused(batch) then
  redis.call('ZADD', DUE, now + PAUSED_MS, batch)
  return nil
end
local attempts = tonumber(entry[2])
if entry[1] == 'leased' then -- nobody handed it back: its worker died
  end_attempt('lease_lost')
  note(batch, 'lease_lost', 'its worker was not heard of any more')
end
if entry[1] == 'leased' and not entry[6] then -- and had not been told to
  attempts = redis.call('HINCRBY', key, 'attempts', 1)
  if attempts >= tonumber(ARGV[3]) then
    bury(batch, 'its worker died ' .. attempts .. ' times while it held this batch', ARGV[4], 'batch')
    return nil
  end
end
local token = next_token()
redis.call('HSET', key, 'state', 'leased', 'token', token, 'claim', ARGV[5] .. ' ' .. token, 'changed', now)
redis.call('HDEL', key, 'again', 'leaving', 'progress')
note(batch, 'claimed', 'attempt ' .. attempts + 1)
redis.call('ZADD', DUE, now + tonumber(ARGV[2]), batch)
return lease(token, attempts)
