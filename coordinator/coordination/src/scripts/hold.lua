-- KEYS[7]: what is remembered for the user's idempotency key. ARGV: id, user, digest, ttl, limit, seats.

local now = clock()
sweep(now)
local known = redis.call('HMGET', KEYS[7], 'digest', 'hold')
if known[1] then
  if known[1] == ARGV[3] then
    return {'ok', known[2]}
  end
  return {'key reused'}
end
local seats, taken = list(ARGV[6]), {}
if #seats == 0 then
  return {'no such seat'}
end
for _, index in ipairs(seats) do
  local was = seat(index)
  if was == '' then
    return {'no such seat'}
  elseif was ~= AVAILABLE then
    taken[#taken + 1] = index
  end
end
if #taken > 0 then
  return {'taken', table.concat(taken, ',')}
end
local has = tonumber(redis.call('HGET', USERS, ARGV[2]) or '0')
if has + #seats > tonumber(ARGV[5]) then
  return {'over limit'}
end
local ends = now + tonumber(ARGV[4])
local h = {
  id = ARGV[1],
  user = ARGV[2],
  fence = int(redis.call('HINCRBY', META, 'fence', 1)),
  ends = int(ends),
  order = '',
  seats = seats,
}
set(seats, HELD)
put(h)
redis.call('HINCRBY', USERS, h.user, #seats)
redis.call('ZADD', ENDS, int(ends), h.id)
redis.call('HSET', KEYS[7], 'digest', ARGV[3], 'hold', write(h))
redis.call('PEXPIRE', KEYS[7], IDEMPOTENCY_TTL_MS)
return {'ok', write(h)}
