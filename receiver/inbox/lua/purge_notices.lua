-- ARGV: names.  Forgets them, even one that is being sent; gives the ones that were there.
local removed = {}
for _, name in ipairs(ARGV) do
  if redis.call('DEL', NOTICE .. name) == 1 then
    removed[#removed + 1] = name
  end
  redis.call('ZREM', DEAD_NOTICES, name)
  redis.call('ZREM', QUEUE .. string.match(name, '^[^/]*'), name)
end
return removed
