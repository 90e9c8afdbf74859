-- ARGV: seconds to remember, then for each batch: batch, hours, data.  Adds one notice per target, batch and hours,
-- however often and by whomever it is asked.  Gives how many notices are new.
local fresh = 0
for i = 2, #ARGV, 3 do
  for k = 8, #KEYS do
    local target = string.sub(KEYS[k], #QUEUE + 1)
    local sent = 'gbr:overdue:' .. target .. ':' .. ARGV[i + 1] .. ':' .. ARGV[i]
    if redis.call('SET', sent, 1, 'NX', 'EX', ARGV[1]) then
      add_notice(KEYS[k], ARGV[i], 'batch.overdue', ARGV[i + 2])
      fresh = fresh + 1
    end
  end
end
return fresh
