-- ARGV: each seat's state, fence floor. Stands alone: the one script that needs no book.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return {'ok'}
end
local t = redis.call('TIME')
local base = (t[1] * 1000 + math.floor(t[2] / 1000)) * VERSIONS_PER_MS
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1],
  'version', string.format('%.0f', base),
  'fence', string.format('%.0f', math.max(base, tonumber(ARGV[2]))))
return {'ok'}
