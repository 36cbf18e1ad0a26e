-- ARGV: hold, user, order.

if not open(KEYS) then
  return NOT_LOADED
end
local now = clock()
sweep(now)
local h = live(ARGV[1], now)
if not h or h.user ~= ARGV[2] then
  return finish({'not found'})
elseif h.order == '' then
  h.order, h.since = ARGV[3], int(now)
  put(h)
  call('ZREM', ENDS, h.id)
elseif h.order ~= ARGV[3] then
  return finish({'ordered', h.order})
end
return finish({'ok', write(h)})
