-- ARGV: batch, type, data.  Owes it to each target, at once.
notify(ARGV[1], ARGV[2], ARGV[3])
return 1
