-- ARGV: cause, ttl s, then batches.  Gives those that were open or leased; whoever holds one has lost it.
local given_up = {}
for i = 3, #ARGV do
  local state = redis.call('HGET', ENTRY .. ARGV[i], 'state')
  if state == 'open' or state == 'leased' then
    bury(ARGV[i], ARGV[1], ARGV[2], 'person')
    given_up[#given_up + 1] = ARGV[i]
  end
  if state == 'leased' then
    end_attempt('buried')
  end
end
return given_up
