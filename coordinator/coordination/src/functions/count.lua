-- How many seats a buyer holds in an event, over all its performances. KEYS[1]: the buyer's holds of the event, a sorted set of
-- `hold|seats` by end, and no book. ARGV: hold, seats, ttl, limit. Answers how many the other holds have, or nothing where all together
-- were more than the limit; then nothing is changed.

begin(KEYS)
local now = clock()
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', int(now))
local others, before = 0, nil
for _, member in ipairs(call('ZRANGE', KEYS[1], 0, -1)) do
  local hold, seats = string.match(member, '^([^|]*)|(.*)$')
  if hold == ARGV[1] then
    before = member
  else
    others = others + tonumber(seats)
  end
end
local seats = tonumber(ARGV[2])
if others + seats > tonumber(ARGV[4]) then
  return {'over limit'}
end
if before then
  call('ZREM', KEYS[1], before)
end
if seats > 0 then
  call('ZADD', KEYS[1], int(now + tonumber(ARGV[3])), ARGV[1] .. '|' .. ARGV[2])
end
local last = call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
  call('PEXPIREAT', KEYS[1], last[2])
end
return {'ok', int(others)}
