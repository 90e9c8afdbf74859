-- Gives how many notices are due in the queue that is the eighth key, none where somebody has claimed from it lately.
local queue = KEYS[8]
local served = redis.pcall('GET', queue .. ':served')
if type(served) == 'string' and (tonumber(served) or now) <= LATEST then
  return 0
end
bring_back_notices(queue)
return redis.call('ZCOUNT', queue, '-inf', now)
