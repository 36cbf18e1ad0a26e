-- Answers how many holds ended, and the milliseconds until the next one does.

local now = clock()
local freed = sweep(now)
local next = redis.call('ZRANGE', ENDS, 0, 0, 'WITHSCORES')
if next[2] then
  return {'ok', int(freed), int(math.max(0, tonumber(next[2]) - now))}
end
return {'ok', int(freed)}
