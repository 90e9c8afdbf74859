-- ARGV: cause, ttl s, then batches.  Buries those that have not ended, also held ones. Those that no person had buried
-- get the new cause, and no second notice. Gives both.
local buried = {}
for i = 3, #ARGV do
  local entry = redis.call('HMGET', ENTRY .. ARGV[i], 'state', 'fault')
  if entry[1] == 'open' or entry[1] == 'leased' then
    bury(ARGV[i], ARGV[1], ARGV[2], 'person')
    buried[#buried + 1] = ARGV[i]
  elseif entry[1] == 'buried' and entry[2] ~= 'person' then
    redis.call('HSET', ENTRY .. ARGV[i], 'cause', ARGV[1], 'fault', 'person')
    note(ARGV[i], 'buried', ARGV[1])
    buried[#buried + 1] = ARGV[i]
  end
  if entry[1] == 'leased' then
    end_attempt('buried')
  end
end
return buried
