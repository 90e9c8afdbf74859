-- ARGV: id of what cost it, ttl s of the id, the cost as in `count_cost`.  What comes again counts once.
if redis.call('SET', 'gbr:counted:' .. ARGV[1], 1, 'NX', 'EX', ARGV[2]) then
  count_cost(ARGV[3])
end
