-- Holds, one after the other, in one step. KEYS from the seventh: what is remembered for each one's idempotency key. ARGV, for
-- each: id, user, digest, ttl, limit, seats. The answer is two texts for each.

local users = {}
for i = 2, #ARGV, HOLD_ARGUMENTS do
  users[#users + 1] = ARGV[i]
end
if not open(KEYS, unpack(users)) then
  return NOT_LOADED
end
local now = clock()
sweep(now)
-- By key, because the same one may stand here twice.
local known = {}
for i, text in ipairs(call('MGET', unpack(KEYS, 7))) do
  known[KEYS[6 + i]] = text
end
local ends, kept = {}, {}

local function hold(key, id, user, digest, ttl, limit, named)
  local before = recalled(known[key], digest)
  if before then
    return before
  end
  local seats = list(named)
  if #seats == 0 then
    return {'no such seat'}
  end
  local refusal = conflict(seats)
  if refusal then
    return refusal
  end
  if count(user) + #seats > tonumber(limit) then
    return {'over limit'}
  end
  fence = fence + 1
  local h = {
    id = id,
    user = user,
    fence = fence,
    ends = now + tonumber(ttl),
    extended = '',
    order = '',
    since = '',
    seats = seats,
  }
  set(seats, HELD)
  add(user, #seats)
  due(h)
  local text = value(h)
  ends[#ends + 1], ends[#ends + 2] = int(h.ends), id
  kept[#kept + 1], kept[#kept + 2] = id, text
  local answer
  answer, known[key] = remember(key, digest, id .. '|' .. text)
  return answer
end

local answers = {}
for i = 7, #KEYS do
  local answer = hold(KEYS[i], unpack(ARGV, (i - 7) * HOLD_ARGUMENTS + 1, (i - 6) * HOLD_ARGUMENTS))
  answers[#answers + 1], answers[#answers + 2] = answer[1], answer[2] or ''
end
if kept[1] then
  call('ZADD', ENDS, unpack(ends))
  call('HSET', HOLDS, unpack(kept))
end
return finish(answers)
