-- ARGV: hold, order, user, state (sold or available), seats.

if not open(KEYS, ARGV[3]) then
  return NOT_LOADED
end
local order, user, state = ARGV[2], ARGV[3], ARGV[4]
local text = call('HGET', SALES, order)
local sale = text and parse_sale(text) or {user = user, seats = {}}
if sale.user ~= user then
  return {'ok'}
end
local h = read(ARGV[1])
if not h or h.order ~= order or h.user ~= user then
  h = nil
end
local kept, bought = setof(h and h.seats or {}), setof(sale.seats)
local seats, changed, left, sold, more = list(ARGV[5]), {}, {}, {}, 0
local states = look(seats)
for _, index in ipairs(seats) do
  local was, moves = states[index], false
  if was == HELD then
    moves = kept[index]
  elseif was == SOLD then
    moves = state == AVAILABLE and bought[index]
  elseif was then
    moves = state == SOLD
  end
  if moves then
    states[index] = state
    changed[#changed + 1] = index
    left[index] = true
    if state == SOLD then
      sold[#sold + 1] = index
    end
    if was == HELD or was == SOLD then
      more = more - 1
    end
  end
end
if #changed == 0 then
  return {'ok'}
end
more = more + #sold
if more ~= 0 then
  add(user, more)
end
if h then
  local rest = exchanged(h.seats, left, {})
  if #rest == 0 then
    call('HDEL', HOLDS, h.id)
  elseif #rest < #h.seats then
    h.seats = rest
    put(h)
  end
end
sale.seats = exchanged(sale.seats, left, sold)
put_sale(order, sale)
set(changed, state)
return finish({'ok'})
