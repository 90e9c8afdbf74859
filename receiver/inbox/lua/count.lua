-- ARGV: id of this write, ttl s of the id, then for each count: field, amount
-- A write whose answer was lost comes again, and counts once.
if redis.call('SET', 'gbr:counted:' .. ARGV[1], 1, 'NX', 'EX', ARGV[2]) then
  for i = 3, #ARGV, 2 do
    redis.pcall('HINCRBYFLOAT', METRICS, ARGV[i], ARGV[i + 1]) -- pcall: a field that somebody spoilt takes none with it
    if string.find(ARGV[i], '_total') then
      redis.pcall('HINCRBYFLOAT', HISTORY, ARGV[i], ARGV[i + 1])
      redis.pcall('HINCRBYFLOAT', TREND, ARGV[i], ARGV[i + 1])
    end
  end
  keep_history()
end
