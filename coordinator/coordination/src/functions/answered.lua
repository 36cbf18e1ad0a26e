-- KEYS[7]: what is remembered for the user's idempotency key. ARGV: digest.

if not open(KEYS) then
  return NOT_LOADED
end
return recall(KEYS[7], ARGV[1]) or {'nothing'}
