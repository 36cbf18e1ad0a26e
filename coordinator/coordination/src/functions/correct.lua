-- ARGV: the version since which nothing may have changed, or nothing; then corrections as kind|seat, and for a claim
-- |order|hold|user|fence. Kinds: free, block, held, sold. Answers the seats corrected.

if not open(KEYS) then
  return NOT_LOADED
end
local now = clock()
sweep(now)
local done, seats = {}, {}
if ARGV[1] ~= '' then
  local entries = changes_after(tonumber(ARGV[1]))
  if not entries then
    return finish({'ok', ''})
  end
  for _, entry in ipairs(entries) do
    for run in string.gmatch(entry[2][2], '[^;]+') do
      for _, index in ipairs(list(string.sub(run, 3))) do
        done[index] = true
      end
    end
  end
end
for i = 2, #ARGV do
  seats[#seats + 1] = tonumber(string.match(ARGV[i], '^%a+|(%d+)'))
end
local states = look(seats)

-- Every sale, and who bought each seat: read here alone, for a reconciler.
local sales, owners, resold, holds = {}, {}, {}, {}
local all = call('HGETALL', SALES)
for i = 1, #all, 2 do
  local sale = parse_sale(all[i + 1])
  sales[all[i]] = sale
  for _, index in ipairs(sale.seats) do
    owners[index] = all[i]
  end
end

local function disown(index)
  local order = owners[index]
  if order then
    local sale = sales[order]
    sale.seats = exchanged(sale.seats, {[index] = true}, {})
    owners[index], resold[order] = nil, true
    add(sale.user, -1)
  end
end

-- The state the seat is to have; nil where there is nothing to correct, or the hold is another order's.
local function claim(index, kind, order, hold, user, claimed)
  fence, dirty = math.max(fence, claimed), true
  if kind == 'sold' then
    if owners[index] == order then
      return nil
    end
    disown(index)
    -- A sale that lost its last seat is a new sale.
    if not sales[order] or #sales[order].seats == 0 then
      sales[order] = {user = user, seats = {}}
    end
    local sale = sales[order]
    sale.seats = exchanged(sale.seats, {}, {index})
    owners[index], resold[order] = order, true
    add(sale.user, 1)
    return SOLD
  end
  local h = holds[hold] or read(hold)
  if h and h.order ~= order then
    return nil
  end
  disown(index)
  h = h or {id = hold, user = user, fence = claimed, ends = now, extended = '', order = order,
    since = int(now), seats = {}}
  h.fence = math.max(h.fence, claimed)
  h.seats = exchanged(h.seats, {}, {index})
  holds[hold] = h
  add(h.user, 1)
  return HELD
end

local corrected, runs = {}, {}
for i = 2, #ARGV do
  local index, was, is = seats[i - 1], states[seats[i - 1]], nil
  if was and was ~= HELD and not done[index] then
    done[index] = true
    local kind, order, hold, user, claimed = string.match(ARGV[i], '^(%a+)|%d+|?([^|]*)|?([^|]*)|?([^|]*)|?(%d*)$')
    if order ~= '' then
      is = claim(index, kind, order, hold, user, tonumber(claimed))
    else
      local wanted = kind == 'block' and BLOCKED or AVAILABLE
      if was ~= wanted then
        disown(index)
        is = wanted
      end
    end
    if is then
      corrected[#corrected + 1] = index
      states[index] = is
      if is ~= was then
        local last = runs[#runs]
        if not last or last[1] ~= is then
          last = {is, {}}
          runs[#runs + 1] = last
        end
        last[2][#last[2] + 1] = index
      end
    end
  end
end
for order in pairs(resold) do
  put_sale(order, sales[order])
end
for _, h in pairs(holds) do
  put(h)
end
for _, run in ipairs(runs) do
  set(run[2], run[1])
end
return finish({'ok', concat(corrected, ',')})
