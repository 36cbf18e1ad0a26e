-- ARGV: seats.

if not open(KEYS) then
  return NOT_LOADED
end
local seats, blocked = list(ARGV[1]), {}
local states = look(seats)
for _, index in ipairs(seats) do
  if states[index] == BLOCKED then
    blocked[#blocked + 1] = index
  end
end
set(blocked, AVAILABLE)
return finish({'ok'})
