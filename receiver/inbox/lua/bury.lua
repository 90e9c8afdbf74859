-- ARGV: batch, token, cause, ttl s, whose fault it is, the submission that sent it or ''
-- Gives 1 when this lease buried it.
if not holds(ARGV[1], ARGV[2]) then
  return 0
end
bury(ARGV[1], ARGV[3], ARGV[4], ARGV[5])
wake(ARGV[6])
end_attempt('buried')
return 1
