-- ARGV: hold, state, seats.

settle(ARGV[1], list(ARGV[3]), ARGV[2])
return {'ok'}
