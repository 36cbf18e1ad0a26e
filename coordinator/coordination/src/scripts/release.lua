-- KEYS[7]: what is remembered for the user's idempotency key. ARGV: hold, user, digest.

if not open() then
  return NOT_LOADED
end
local now = clock()
sweep(now)
local known = recall(KEYS[7], ARGV[3])
if known then
  return finish(known)
end
local h, gone = unordered(ARGV[1], ARGV[2], now)
if not h then
  return finish(gone)
end
drop(h)
set(h.seats, AVAILABLE)
return finish(remember(KEYS[7], ARGV[3], write(h)))
