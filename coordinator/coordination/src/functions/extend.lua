-- KEYS[7]: what is remembered for the user's idempotency key. ARGV: hold, user, digest, ttl.

local h, answer = opened(KEYS, ARGV[1], ARGV[2], ARGV[3])
if not h then
  return answer
elseif h.extended ~= '' then
  return finish({'already'})
end
h.ends, h.extended = clock() + tonumber(ARGV[4]), '1'
ends_at(h)
return finish(remember(KEYS[7], ARGV[3], put(h)))
