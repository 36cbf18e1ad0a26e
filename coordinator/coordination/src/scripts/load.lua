-- ARGV: each seat's state; the highest fence; three numbers n; n holds as id, user|fence, order, seats; n sales as order,
-- user|seats; n buyers with their counts. The one script that needs no book.

local was = redis.call('HMGET', KEYS[1], 'history', 'version', 'fence')
if was[1] == HISTORY then
  return {'there'}
end
-- A book of another history may lack what was done last there: numbers start above that too.
local lost = was[1] and LOST_MAX or 0
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local base = tonumber(now) * VERSIONS_PER_MS
local version = math.max(base, tonumber(was[2] or 0) + lost)
local fence = math.max(base, tonumber(ARGV[2]), tonumber(was[3] or 0) + lost)
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1],
  'history', HISTORY,
  'version', string.format('%.0f', version),
  'fence', string.format('%.0f', fence),
  'soonest', NEVER)
local at = 6
for _ = 1, tonumber(ARGV[3]) do
  local value = table.concat({ARGV[at + 1], now, '', ARGV[at + 2], now, ARGV[at + 3]}, '|')
  redis.call('HSET', KEYS[3], ARGV[at], value)
  at = at + 4
end
for _ = 1, tonumber(ARGV[4]) do
  redis.call('HSET', KEYS[5], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, tonumber(ARGV[5]) do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  at = at + 2
end
return {'ok'}
