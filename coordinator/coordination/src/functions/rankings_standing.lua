-- A ranking: the step its notes are of, how many there are, the notes, then subjects with their scores.
-- KEYS: steps, before, ranking. ARGV: the window's name.

local before = redis.call('LRANGE', KEYS[2], 0, -1)
local out = {redis.call('HGET', KEYS[1], ARGV[1]) or '0', #before}
for _, subject in ipairs(before) do
  out[#out + 1] = subject
end
for _, text in ipairs(redis.call('ZREVRANGE', KEYS[3], 0, NOTED_MAX - 1, 'WITHSCORES')) do
  out[#out + 1] = text
end
return out
