-- ARGV: batch, type, data.  Adds a notice for each target, due at once.
notify(ARGV[1], ARGV[2], ARGV[3])
return 1
