-- Makes the book where there is none of this history. ARGV: each seat's state; the highest fence; three numbers n; n holds as id,
-- user|fence, order, seats; n sales as order, user|seats; n buyers with their counts.

begin(KEYS)
local was = call('HMGET', META, 'history', 'version', 'fence')
if was[1] == history_now() then
  return {'there'}
end
-- A book of another history may lack what was done last there: numbers start above that too.
local lost = was[1] and LOST_MAX or 0
local base, now = clock() * VERSIONS_PER_MS, int(clock())
call('DEL', unpack(KEYS))
call('SET', SEATS, ARGV[1])
call('HSET', META,
  'history', history_now(),
  'version', int(math.max(base, tonumber(was[2] or 0) + lost)),
  'fence', int(math.max(base, tonumber(ARGV[2]), tonumber(was[3] or 0) + lost)),
  'soonest', int(NEVER))
local at = 6
for _ = 1, tonumber(ARGV[3]) do
  local value = concat({ARGV[at + 1], now, '', ARGV[at + 2], now, ARGV[at + 3]}, '|')
  call('HSET', HOLDS, ARGV[at], value)
  at = at + 4
end
for _ = 1, tonumber(ARGV[4]) do
  call('HSET', SALES, ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, tonumber(ARGV[5]) do
  call('HSET', META, ARGV[at], ARGV[at + 1])
  at = at + 2
end
return {'ok'}
