-- ARGV: hold, user.

local now = clock()
sweep(now)
local h = live(ARGV[1], now)
if not h or h.user ~= ARGV[2] then
  return {'not found'}
elseif h.order ~= '' then
  return {'ordered', h.order}
end
drop(h)
set(h.seats, AVAILABLE)
return {'ok'}
