-- Every script starts with this: the keys of one performance, its time, and the steps of the domain's seat book.

local META, SEATS, HOLDS, ENDS, USERS, CHANGES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local AVAILABLE, HELD = '0', '1'

if redis.call('EXISTS', META) == 0 then
  return {'not loaded'}
end

-- Lua prints large numbers in a shorter, wrong form.
local function int(n)
  return string.format('%.0f', n)
end

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function list(text)
  local out = {}
  for item in string.gmatch(text, '[^,]+') do
    out[#out + 1] = item
  end
  return out
end

-- '' where the seat is not in the hall.
local function seat(index)
  return redis.call('GETRANGE', SEATS, index, index)
end

-- Changes seats and says so, in one step.
local function set(seats, state)
  for _, index in ipairs(seats) do
    redis.call('SETRANGE', SEATS, index, state)
  end
  local version = int(redis.call('HINCRBY', META, 'version', 1)) .. '-0'
  redis.call('XADD', CHANGES, 'MAXLEN', '=', HISTORY_MAX, version, 'state', state, 'seats', table.concat(seats, ','))
end

-- A hold as text: id|user|fence|until|order|seats.
local function write(h)
  return table.concat({h.id, h.user, h.fence, h.ends, h.order, table.concat(h.seats, ',')}, '|')
end

local function read(id)
  local text = redis.call('HGET', HOLDS, id)
  if not text then
    return nil
  end
  local user, fence, ends, order, seats = string.match(text, '^[^|]*|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return {id = id, user = user, fence = fence, ends = ends, order = order, seats = list(seats)}
end

local function put(h)
  redis.call('HSET', HOLDS, h.id, write(h))
end

local function drop(h)
  redis.call('HDEL', HOLDS, h.id)
  redis.call('ZREM', ENDS, h.id)
  if redis.call('HINCRBY', USERS, h.user, -#h.seats) <= 0 then
    redis.call('HDEL', USERS, h.user)
  end
end

-- Live at `now`, or an order, which no clock ends.
local function live(id, now)
  local h = read(id)
  if h and (h.order ~= '' or tonumber(h.ends) > now) then
    return h
  end
  return nil
end

-- Frees what ended by `now`, in the order it ended, at most SWEEP_MAX holds at a time: the rest is no longer live, and
-- the next step frees it.
local function sweep(now)
  local ids = redis.call('ZRANGEBYSCORE', ENDS, '-inf', int(now), 'LIMIT', 0, SWEEP_MAX)
  for _, id in ipairs(ids) do
    local h = read(id)
    if h then
      drop(h)
      set(h.seats, AVAILABLE)
    else
      redis.call('ZREM', ENDS, id)
    end
  end
  return #ids
end

-- Which seats other holds have. Read only when a hold is gone already: a message told twice, or a state loaded anew.
local function others()
  local taken = {}
  for _, id in ipairs(redis.call('HKEYS', HOLDS)) do
    for _, index in ipairs(read(id).seats) do
      taken[index] = true
    end
  end
  return taken
end

local function settle(id, seats, state)
  local h, taken = read(id), {}
  if h then
    drop(h)
  else
    taken = others()
  end
  local changed = {}
  for _, index in ipairs(seats) do
    local was = seat(index)
    if was ~= '' and was ~= state and not taken[tostring(index)] then
      changed[#changed + 1] = index
    end
  end
  if #changed > 0 then
    set(changed, state)
  end
end
