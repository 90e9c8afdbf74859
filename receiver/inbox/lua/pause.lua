-- ARGV: 'pause' or 'resume', then projects.  Gives those for which that changed something.
local changed = {}
for i = 2, #ARGV do
  local is_changed
  if ARGV[1] == 'pause' then
    is_changed = redis.call('HSETNX', PAUSED, ARGV[i], string.format('%.0f', now))
  else
    is_changed = redis.call('HDEL', PAUSED, ARGV[i])
  end
  if is_changed == 1 then
    changed[#changed + 1] = ARGV[i]
  end
end
return changed
