-- ARGV: first and last rank among what is due.  Gives how many there are at these ranks, and of outages and of refusals
-- {how many wait for one, since when the first of them, why}.
local names = redis.pcall('ZRANGE', DUE, ARGV[1], ARGV[2])
local sums = { { 0, '', '' }, { 0, '', '' } }
if names.err then -- no sorted set: somebody else wrote there
  names = {}
end
local first, oldest = {}, {}
for _, batch in ipairs(names) do
  local entry = redis.pcall('HMGET', ENTRY .. batch, 'outages_since', 'refusals_since')
  local kind = entry[2] and 2 or 1
  local since = tonumber(entry[kind])
  if since then
    sums[kind][1] = sums[kind][1] + 1
    if not first[kind] or since < first[kind] then
      first[kind], oldest[kind] = since, batch
    end
  end
end
for kind, batch in pairs(oldest) do
  sums[kind][2] = string.format('%.0f', first[kind])
  sums[kind][3] = redis.call('HGET', ENTRY .. batch, 'cause') or ''
end
return { #names, sums[1], sums[2] }
