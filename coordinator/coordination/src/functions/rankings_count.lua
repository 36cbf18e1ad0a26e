-- Counts a batch once: the steps of the domain's ranking board.
-- KEYS: source, waiting, steps; for each window: voted, then for each kind: before, ranking.
-- ARGV: seq; for each window: name, age, step, length; for each vote: kind, needs people, weight, subject, four bits.

local call, format, log = redis.call, string.format, math.log
local LN2, WINDOWS, DAY, WEEK = math.log(2), 3, 2, 3
local BITS = 4

local last = call('GET', KEYS[1])
if last and tonumber(ARGV[1]) <= tonumber(last) then
  return {'repeated'}
end
call('SET', KEYS[1], ARGV[1], 'PX', SOURCE_TTL_MS)

local windows = {}
for w = 1, WINDOWS do
  local key, arg = 4 + (w - 1) * 5, 2 + (w - 1) * 4
  local window = {
    voted = KEYS[key],
    before = {KEYS[key + 1], KEYS[key + 3]},
    ranking = {KEYS[key + 2], KEYS[key + 4]},
    age = tonumber(ARGV[arg + 1]),
  }
  windows[w] = window
  if tonumber(ARGV[arg + 2]) > tonumber(call('HGET', KEYS[3], ARGV[arg]) or '0') then
    call('HSET', KEYS[3], ARGV[arg], ARGV[arg + 2])
    for kind = 1, 2 do
      call('DEL', window.before[kind])
      local first = call('ZREVRANGE', window.ranking[kind], 0, NOTED_MAX - 1)
      if first[1] then
        call('RPUSH', window.before[kind], unpack(first))
      end
    end
  end
end

-- Remembers a vote; false where it was there already.
local function insert(window, at)
  local is_new = false
  for bit = at, at + BITS - 1 do
    is_new = call('SETBIT', window.voted, ARGV[bit], 1) == 0 or is_new
  end
  return is_new
end

local function trim(key)
  local many = call('ZCARD', key)
  if many > KEPT_MAX then
    call('ZREMRANGEBYRANK', key, 0, many - KEPT_AFTER_TRIM - 1)
  end
end

local function add(window, kind, subject, weight)
  local new = window.age + log(weight) / LN2
  local score = tonumber(call('ZSCORE', window.ranking[kind], subject) or '-inf')
  if score == nil or score == -math.huge then
    score = new
  else
    local high, low = math.max(score, new), math.min(score, new)
    score = high + log(1 + 2 ^ (low - high)) / LN2
  end
  call('ZADD', window.ranking[kind], format('%.17g', score), subject)
  trim(window.ranking[kind])
end

-- How many people searched for the word today, with this one where they are another.
local function people(subject, is_another)
  if not is_another then
    return tonumber(call('ZSCORE', KEYS[2], subject) or '0')
  end
  local many = tonumber(call('ZINCRBY', KEYS[2], 1, subject))
  trim(KEYS[2])
  return many
end

local counted = 0
for at = 2 + WINDOWS * 4, #ARGV, 4 + BITS do
  local kind, needs_people, weight, subject = tonumber(ARGV[at]), ARGV[at + 1] == '1', tonumber(ARGV[at + 2]), ARGV[at + 3]
  -- Who voted in this hour voted in its day and week too.
  local new_in = 0
  while new_in < WINDOWS and insert(windows[new_in + 1], at + 4) do
    new_in = new_in + 1
  end
  local counts = new_in > 0
  if counts and needs_people and not call('ZSCORE', windows[WEEK].ranking[kind], subject) then
    counts = people(subject, new_in >= DAY) >= PEOPLE_MIN
  end
  if counts then
    counted = counted + 1
    for w = 1, new_in do
      add(windows[w], kind, subject, weight)
    end
  end
end

-- A clock that is a little behind another's still finds the period before.
for w = 1, WINDOWS do
  call('PEXPIRE', windows[w].voted, 2 * ARGV[2 + (w - 1) * 4 + 3])
end
call('PEXPIRE', KEYS[2], 2 * ARGV[2 + (DAY - 1) * 4 + 3])
return {'counted', counted}
