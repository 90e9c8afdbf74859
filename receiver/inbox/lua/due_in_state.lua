-- ARGV: state, first and last rank among what is due.  Gives how many there are at these ranks, and those in this state.
local names = redis.pcall('ZRANGE', DUE, ARGV[2], ARGV[3])
if names.err then -- no sorted set: somebody else wrote there
  return { 0, {} }
end
local found = {}
for _, batch in ipairs(names) do
  if redis.pcall('HGET', ENTRY .. batch, 'state') == ARGV[1] then
    found[#found + 1] = batch
  end
end
return { #names, found }
