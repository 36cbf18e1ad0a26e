-- The functions on seats stand behind this: the keys of one performance, its time, and the steps of the domain's seat book.
-- A function opens the book, works on it, and ends with `finish`, which announces what changed and writes the head, both once. The
-- server keeps these locals from one call to the next, so each begins them anew.

local META, SEATS, HOLDS, ENDS, SALES, CHANGES
local AVAILABLE, HELD, SOLD, BLOCKED = '0', '1', '2', '3'
local NOT_LOADED = {'not loaded'}

-- The head: the version and fence given out last, a time before which no hold ends, and buyers' counts as they are needed.
local version, fence, soonest, kept_fence, kept_soonest
local counts, recounted, dirty
-- What was changed and is not announced yet, and which seats that were.
local told, touched
-- The time of this call, once it was looked at.
local time
-- The name of the history this server writes, and when it was looked up.
local history, history_since

-- Not there yet while the library is loaded.
local call, format, concat

-- Lua prints large numbers in a shorter, wrong form, and the server prints numbers in an exact but slow one. Those of a call are
-- given as this text.
local function int(n)
  return format('%d', n)
end

local function clock()
  if not time then
    local t = call('TIME')
    time = t[1] * 1000 + (t[2] - t[2] % 1000) / 1000
  end
  return time
end

-- Another one with every start, and with every replica that becomes master. Looking it up costs as much as a fifth of a hold, so it
-- is believed for a moment; no server becomes a replica and master again in that. One that starts, or takes over another's
-- data, has not looked it up yet.
local function history_now()
  local now = clock()
  if not history or now < history_since or now >= history_since + HISTORY_FOR_MS then
    history = string.match(call('INFO', 'replication'), 'master_replid:(%w+)') or 'unknown'
    history_since = now
  end
  return history
end

local function begin(keys)
  call, format, concat = redis.call, string.format, table.concat
  META, SEATS, HOLDS, ENDS, SALES, CHANGES = keys[1], keys[2], keys[3], keys[4], keys[5], keys[6]
  counts, recounted, dirty, told, touched, time = {}, {}, false, {}, {}, nil
end

-- With the buyers whose counts will be needed.
local function open(keys, ...)
  begin(keys)
  local head = call('HMGET', META, 'history', 'version', 'fence', 'soonest', ...)
  -- A book of another history may lack what was done last there.
  if head[1] ~= history_now() then
    return false
  end
  version, fence, soonest = tonumber(head[2]), tonumber(head[3]), tonumber(head[4])
  kept_fence, kept_soonest = fence, soonest
  for i = 1, select('#', ...) do
    counts[select(i, ...)] = tonumber(head[4 + i] or 0)
  end
  return true
end

-- Announces what was changed since the last time as one change.
local function announce()
  if told[1] then
    version, dirty = version + 1, true
    call('XADD', CHANGES, 'MAXLEN', '~', HISTORY_MAX, format('%d-0', version), 'c', concat(told, ';'))
    told, touched = {}, {}
  end
end

local function finish(answer)
  announce()
  if not dirty then
    return answer
  end
  local fields = {'version', int(version)}
  if fence ~= kept_fence then
    fields[3], fields[4] = 'fence', int(fence)
  end
  if soonest ~= kept_soonest then
    fields[#fields + 1], fields[#fields + 2] = 'soonest', int(soonest)
  end
  for user in pairs(recounted) do
    if counts[user] > 0 then
      fields[#fields + 1], fields[#fields + 2] = user, int(counts[user])
    else
      call('HDEL', META, user)
    end
    if #fields >= ARGUMENTS_MAX then
      call('HSET', META, unpack(fields))
      fields = {'version', int(version)}
    end
  end
  call('HSET', META, unpack(fields))
  return answer
end

-- Seats from text and back. A list remembers the text it came from; nobody changes a list afterwards.
local function list(text)
  local out, n = {text = text}, 0
  for item in string.gmatch(text, '%d+') do
    n = n + 1
    out[n] = tonumber(item)
  end
  return out
end

local function commas(seats)
  return seats.text or concat(seats, ',')
end

local function count(user)
  if not counts[user] then
    counts[user] = tonumber(call('HGET', META, user) or '0')
  end
  return counts[user]
end

local function add(user, seats)
  counts[user] = math.max(0, count(user) + seats)
  recounted[user], dirty = true, true
end

-- The states of seats by index; nothing for a seat that is not in the hall. One call where they are near each other.
local function look(seats)
  local out, low, high = {}, math.huge, 0
  if #seats == 0 then
    return out
  end
  for _, index in ipairs(seats) do
    low, high = math.min(low, index), math.max(high, index)
  end
  if high - low < math.max(SPAN_MAX, #seats * 8) then
    local span = call('GETRANGE', SEATS, int(low), int(high))
    for _, index in ipairs(seats) do
      local at = index - low + 1
      out[index] = at <= #span and string.sub(span, at, at) or nil
    end
  else
    for _, index in ipairs(seats) do
      local was = call('GETRANGE', SEATS, int(index), int(index))
      out[index] = was ~= '' and was or nil
    end
  end
  return out
end

-- One call for those that follow one another.
local function paint(seats, state)
  local from, many = seats[1], 1
  for i = 2, #seats + 1 do
    if seats[i] == from + many then
      many = many + 1
    else
      call('SETRANGE', SEATS, int(from), string.rep(state, many))
      from, many = seats[i], 1
    end
  end
end

-- Changes seats; said at the latest when the function ends. No seat is in one change twice.
local function set(seats, state)
  if #seats == 0 then
    return
  end
  for _, index in ipairs(seats) do
    if touched[index] then
      announce()
      break
    end
  end
  for _, index in ipairs(seats) do
    touched[index] = true
  end
  paint(seats, state)
  told[#told + 1] = state .. ':' .. commas(seats)
end

-- A hold as text: id|user|fence|until|extended|order|since|seats; kept without its id.
local function value(h)
  return format('%s|%d|%d|%s|%s|%s|%s', h.user, h.fence, h.ends, h.extended, h.order, h.since, commas(h.seats))
end

local function write(h)
  return h.id .. '|' .. value(h)
end

-- A hold as it is kept; nothing where none is.
local function parse(id, text)
  if not text then
    return nil
  end
  local user, fence, ends, extended, order, since, seats =
    string.match(text, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return {id = id, user = user, fence = tonumber(fence), ends = tonumber(ends), extended = extended, order = order, since = since,
    seats = list(seats)}
end

local function read(id)
  return parse(id, call('HGET', HOLDS, id))
end

-- Keeps a hold, and gives it as text.
local function put(h)
  local text = value(h)
  call('HSET', HOLDS, h.id, text)
  return h.id .. '|' .. text
end

local function drop(h)
  call('HDEL', HOLDS, h.id)
  call('ZREM', ENDS, h.id)
  add(h.user, -#h.seats)
end

-- A hold if it is live at `now`, or an order, which no clock ends.
local function if_live(h, now)
  return h and (h.order ~= '' or h.ends > now) and h or nil
end

-- A live hold of `user` that is no order, or nil and why not.
local function unordered(id, user, now)
  local h = if_live(read(id), now)
  if not h or h.user ~= user then
    return nil, {'not found'}
  elseif h.order ~= '' then
    return nil, {'ordered', h.order}
  end
  return h
end

local function due(h)
  if h.ends < soonest then
    soonest, dirty = h.ends, true
  end
end

local function ends_at(h)
  call('ZADD', ENDS, int(h.ends), h.id)
  due(h)
end

-- Frees what ended by `now`, in the order it ended, at most SWEEP_MAX holds at a time: the rest is no longer live, and
-- the next step frees it.
local function sweep(now)
  if soonest > now then
    return 0
  end
  local ids = call('ZRANGEBYSCORE', ENDS, '-inf', int(now), 'LIMIT', 0, SWEEP_MAX)
  for _, id in ipairs(ids) do
    local h = read(id)
    if h then
      drop(h)
      set(h.seats, AVAILABLE)
    else
      call('ZREM', ENDS, id)
    end
  end
  -- What has ended is a change of its own.
  announce()
  local next = call('ZRANGE', ENDS, 0, 0, 'WITHSCORES')
  soonest, dirty = tonumber(next[2] or NEVER), true
  return #ids
end

-- The answer a key got before: kept as the request's digest, a line break, the hold.
local function recalled(known, digest)
  if not known then
    return nil
  end
  local before, hold = string.match(known, '^(.*)\n([^\n]*)$')
  return before == digest and {'ok', hold} or {'key reused'}
end

local function recall(key, digest)
  return recalled(call('GET', key), digest)
end

-- The answer, and what is kept of it.
local function remember(key, digest, hold)
  local kept = digest .. '\n' .. hold
  call('SET', key, kept, 'PX', IDEMPOTENCY_TTL_MS)
  return {'ok', hold}, kept
end

-- Why the seats cannot be taken, if they cannot. Seats as requests name them: ascending.
local function conflict(seats)
  local many, low, high = #seats, seats[1], seats[#seats]
  if many == 0 then
    return nil
  end
  local span = high - low < SPAN_MAX and call('GETRANGE', SEATS, int(low), int(high))
  if high - low == many - 1 and span == string.rep(AVAILABLE, many) then
    return nil
  end
  local taken = {}
  for i = 1, many do
    local index, was = seats[i], nil
    if span and index >= low and index <= high then
      was = string.sub(span, index - low + 1, index - low + 1)
    else
      was = call('GETRANGE', SEATS, int(index), int(index))
    end
    if was == '' then
      return {'no such seat'}
    elseif was ~= AVAILABLE then
      taken[#taken + 1] = index
    end
  end
  return taken[1] and {'taken', concat(taken, ',')} or nil
end

-- How a change of a hold begins that is remembered for an idempotency key: the live hold of `user`, or nil and the answer.
local function opened(keys, id, user, digest)
  if not open(keys, user) then
    return nil, NOT_LOADED
  end
  sweep(clock())
  local known = recall(keys[7], digest)
  if known then
    return nil, finish(known)
  end
  local h, gone = unordered(id, user, clock())
  if not h then
    return nil, finish(gone)
  end
  return h
end

local function setof(seats)
  local out = {}
  for _, index in ipairs(seats) do
    out[index] = true
  end
  return out
end

-- Ascending: those of `seats` that are not in `without`, and those of `with`.
local function exchanged(seats, without, with)
  local out = {}
  for _, index in ipairs(seats) do
    if not without[index] then
      out[#out + 1] = index
    end
  end
  for _, index in ipairs(with) do
    out[#out + 1] = index
  end
  table.sort(out)
  return out
end

-- What an order has bought is kept as user|seats.
local function parse_sale(text)
  local user, seats = string.match(text, '^([^|]*)|(.*)$')
  return {user = user, seats = list(seats)}
end

local function put_sale(order, sale)
  if #sale.seats > 0 then
    call('HSET', SALES, order, sale.user .. '|' .. concat(sale.seats, ','))
  else
    call('HDEL', SALES, order)
  end
end

-- The entries of the stream after a version; nil where they are not kept any more. Versions have no gaps, and the stream
-- is cut to a little more than is kept.
local function changes_after(after)
  if after == version then
    return {}
  elseif after > version or after < version - math.min(call('XLEN', CHANGES), HISTORY_MAX) then
    return nil
  end
  return call('XRANGE', CHANGES, int(after + 1) .. '-0', '+')
end
