-- ARGV: hold, order.

if not open(KEYS) then
  return NOT_LOADED
end
local h = read(ARGV[1])
if h and h.order == ARGV[2] then
  drop(h)
  set(h.seats, AVAILABLE)
end
return finish({'ok'})
