-- ARGV: hold, order.

local h = read(ARGV[1])
if h and h.order == ARGV[2] then
  settle(h.id, h.seats, AVAILABLE)
end
return {'ok'}
