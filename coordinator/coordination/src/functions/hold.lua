-- KEYS[7]: what is remembered for the user's idempotency key. ARGV: id, user, digest, ttl, limit, seats.

local answer = replay(KEYS, ARGV[2], ARGV[3])
if answer then
  return answer
end
local seats = list(ARGV[6])
if #seats == 0 then
  return finish({'no such seat'})
end
local refusal = conflict(seats)
if refusal then
  return finish(refusal)
end
if count(ARGV[2]) + #seats > tonumber(ARGV[5]) then
  return finish({'over limit'})
end
fence = fence + 1
local h = {
  id = ARGV[1],
  user = ARGV[2],
  fence = fence,
  ends = clock() + tonumber(ARGV[4]),
  extended = '',
  order = '',
  since = '',
  seats = seats,
}
set(seats, HELD)
add(h.user, #seats)
ends_at(h)
return finish(remember(KEYS[7], ARGV[3], put(h)))
