-- ARGV: hold, user, order.

local now = clock()
sweep(now)
local h = live(ARGV[1], now)
if not h or h.user ~= ARGV[2] then
  return {'not found'}
elseif h.order == '' then
  h.order = ARGV[3]
  put(h)
  redis.call('ZREM', ENDS, h.id)
elseif h.order ~= ARGV[3] then
  return {'ordered', h.order}
end
return {'ok', write(h)}
