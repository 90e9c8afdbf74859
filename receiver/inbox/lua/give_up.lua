-- ARGV: cause, ttl s, then batches.  Gives those that had not ended, whoever held them, and those that something else than a
-- person had buried: of these it changes the cause, and tells nobody a second time.
local given_up = {}
for i = 3, #ARGV do
  local entry = redis.call('HMGET', ENTRY .. ARGV[i], 'state', 'fault')
  if entry[1] == 'open' or entry[1] == 'leased' then
    bury(ARGV[i], ARGV[1], ARGV[2], 'person')
    given_up[#given_up + 1] = ARGV[i]
  elseif entry[1] == 'buried' and entry[2] ~= 'person' then
    redis.call('HSET', ENTRY .. ARGV[i], 'cause', ARGV[1], 'fault', 'person')
    note(ARGV[i], 'buried', ARGV[1])
    given_up[#given_up + 1] = ARGV[i]
  end
  if entry[1] == 'leased' then
    end_attempt('buried')
  end
end
return given_up
