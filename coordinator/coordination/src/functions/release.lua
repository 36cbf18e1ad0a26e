-- KEYS[7]: what is remembered for the user's idempotency key. ARGV: hold, user, digest.

local h, answer = opened(KEYS, ARGV[1], ARGV[2], ARGV[3])
if not h then
  return answer
end
drop(h)
set(h.seats, AVAILABLE)
return finish(remember(KEYS[7], ARGV[3], write(h)))
