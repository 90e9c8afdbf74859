-- ARGV: batches.  Removes their entries, whoever holds them; gives the ones that were there.
local removed = {}
for _, batch in ipairs(ARGV) do
  if redis.call('DEL', ENTRY .. batch) == 1 then
    removed[#removed + 1] = batch
  end
  for _, set in ipairs({ DUE, BURIED, DONE }) do
    redis.call('ZREM', set, batch)
  end
end
return removed
