-- Counts batches, each once: the steps of the domain's ranking board.
-- KEYS: waiting, steps; for each window: voted, then for each kind: before, ranking; the source of each batch.
-- ARGV: for each window: name, age, step, length; for each batch: seq, votes; for each of its votes: kind, needs people, weight,
-- subject, four bits. The answer is two texts for each batch.

local call, format, log = redis.call, string.format, math.log
local LN2, WINDOWS, DAY, WEEK = math.log(2), 3, 2, 3
-- Bits of a vote, and its arguments.
local BITS, VOTE = 4, 8

local windows = {}
for w = 1, WINDOWS do
  local key, arg = 3 + (w - 1) * 5, 1 + (w - 1) * 4
  local window = {
    voted = KEYS[key],
    before = {KEYS[key + 1], KEYS[key + 3]},
    ranking = {KEYS[key + 2], KEYS[key + 4]},
    age = tonumber(ARGV[arg + 1]),
  }
  windows[w] = window
  if tonumber(ARGV[arg + 2]) > tonumber(call('HGET', KEYS[2], ARGV[arg]) or '0') then
    call('HSET', KEYS[2], ARGV[arg], ARGV[arg + 2])
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
  local sets = {}
  for bit = at, at + BITS - 1 do
    local n = #sets
    sets[n + 1], sets[n + 2], sets[n + 3], sets[n + 4] = 'SET', 'u1', ARGV[bit], 1
  end
  for _, was in ipairs(call('BITFIELD', window.voted, unpack(sets))) do
    if was == 0 then
      return true
    end
  end
  return false
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
    return tonumber(call('ZSCORE', KEYS[1], subject) or '0')
  end
  local many = tonumber(call('ZINCRBY', KEYS[1], 1, subject))
  trim(KEYS[1])
  return many
end

-- Whether the vote at this argument counts.
local function cast(at)
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
    for w = 1, new_in do
      add(windows[w], kind, subject, weight)
    end
  end
  return counts
end

local answers, at = {}, 1 + WINDOWS * 4
for key = 3 + WINDOWS * 5, #KEYS do
  local seq, from, to = ARGV[at], at + 2, at + 2 + ARGV[at + 1] * VOTE
  local last, taken, counted = call('GET', KEYS[key]), 'repeated', 0
  if not last or tonumber(seq) > tonumber(last) then
    call('SET', KEYS[key], seq, 'PX', SOURCE_TTL_MS)
    taken = 'counted'
    for vote = from, to - 1, VOTE do
      counted = counted + (cast(vote) and 1 or 0)
    end
  end
  answers[#answers + 1], answers[#answers + 2] = taken, tostring(counted)
  at = to
end

-- A clock that is a little behind another's still finds the period before.
for w = 1, WINDOWS do
  call('PEXPIRE', windows[w].voted, 2 * ARGV[1 + (w - 1) * 4 + 3])
end
call('PEXPIRE', KEYS[1], 2 * ARGV[1 + (DAY - 1) * 4 + 3])
return answers
