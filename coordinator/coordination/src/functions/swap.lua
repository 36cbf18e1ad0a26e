-- KEYS[7]: what is remembered for the user's idempotency key. ARGV: hold, user, digest, limit, the hold's own limit, seats to
-- give, to take.

local h, answer = opened(KEYS, ARGV[1], ARGV[2], ARGV[3])
if not h then
  return answer
end
local give, take, has, strange = list(ARGV[6]), list(ARGV[7]), setof(h.seats), {}
for _, index in ipairs(give) do
  if not has[index] then
    strange[#strange + 1] = index
  end
end
if #strange > 0 then
  return finish({'not held', concat(strange, ',')})
end
local seats = exchanged(h.seats, setof(give), take)
if #seats == 0 or #give + #take == 0 then
  return finish({'no such seat'})
end
local refusal = conflict(take)
if refusal then
  return finish(refusal)
end
if count(h.user) + #seats > tonumber(ARGV[4]) + #h.seats or #seats > math.max(tonumber(ARGV[5]), #h.seats) then
  return finish({'over limit'})
end
add(h.user, #seats - #h.seats)
fence = fence + 1
h.fence, h.seats = fence, seats
set(give, AVAILABLE)
set(take, HELD)
return finish(remember(KEYS[7], ARGV[3], put(h)))
