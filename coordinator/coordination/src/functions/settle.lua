-- What became of orders, one after the other, in one step. ARGV, for each: hold, order, user, state (sold or available), seats.

local users = {}
for i = 3, #ARGV, SETTLE_ARGUMENTS do
  users[#users + 1] = ARGV[i]
end
if not open(KEYS, unpack(users)) then
  return NOT_LOADED
end

local function settle(hold, order, user, state, named)
  local text = call('HGET', SALES, order)
  local sale = text and parse_sale(text) or {user = user, seats = {}}
  if sale.user ~= user then
    return
  end
  local h = read(hold)
  if not h or h.order ~= order or h.user ~= user then
    h = nil
  end
  local kept, bought = setof(h and h.seats or {}), setof(sale.seats)
  local seats, changed, left, sold, more = list(named), {}, {}, {}, 0
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
    return
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
end

for i = 1, #ARGV, SETTLE_ARGUMENTS do
  settle(unpack(ARGV, i, i + SETTLE_ARGUMENTS - 1))
end
return finish({'ok'})
