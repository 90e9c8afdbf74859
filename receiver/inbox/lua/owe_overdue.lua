-- ARGV: seconds to remember, then for each batch: batch, hours, data.  Owes each target one notice for these hours of
-- this batch, however often and by whomever it is asked.  Gives how many notices are new.
local fresh = 0
for i = 2, #ARGV, 3 do
  for k = 8, #KEYS do
    local told = 'gbr:overdue:' .. string.sub(KEYS[k], #QUEUE + 1) .. ':' .. ARGV[i + 1] .. ':' .. ARGV[i]
    if redis.call('SET', told, 1, 'NX', 'EX', ARGV[1]) then
      owe(KEYS[k], ARGV[i], 'batch.overdue', ARGV[i + 2])
      fresh = fresh + 1
    end
  end
end
return fresh
