-- ARGV: seats.

if not open(KEYS) then
  return NOT_LOADED
end
sweep(clock())
local seats, free, taken = list(ARGV[1]), {}, {}
local states = look(seats)
for _, index in ipairs(seats) do
  local was = states[index]
  if not was then
    return finish({'no such seat'})
  elseif was == AVAILABLE then
    free[#free + 1] = index
  elseif was ~= BLOCKED then
    taken[#taken + 1] = index
  end
end
if #taken > 0 then
  return finish({'taken', concat(taken, ',')})
end
set(free, BLOCKED)
return finish({'ok'})
