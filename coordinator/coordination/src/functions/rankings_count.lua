-- Counts batches, each once: the steps of the domain's ranking board.
-- KEYS: waiting, steps; for each window: voted, then for each kind: before, ranking; the source of each batch.
-- ARGV: for each window: name, age, step, length; for each batch: seq, votes; for each of its votes: kind, needs people, weight,
-- subject, four bits. The answer is two texts for each batch.

local call, format, log = redis.call, string.format, math.log
local LN2, WINDOWS, DAY, WEEK = math.log(2), 3, 2, 3
-- Bits of a vote, its arguments, and how many votes one call remembers.
local BITS, VOTE, VOTES_AT_ONCE = 4, 8, 50

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

-- Remembers votes. Gives those that were not there already.
local function insert(window, votes)
  local new = {}
  for from = 1, #votes, VOTES_AT_ONCE do
    local to, sets = math.min(from + VOTES_AT_ONCE - 1, #votes), {}
    for i = from, to do
      for bit = votes[i].at + 4, votes[i].at + 3 + BITS do
        local n = #sets
        sets[n + 1], sets[n + 2], sets[n + 3], sets[n + 4] = 'SET', 'u1', ARGV[bit], '1'
      end
    end
    local were = call('BITFIELD', window.voted, unpack(sets))
    for i = from, to do
      local is_new = false
      for bit = (i - from) * BITS + 1, (i - from + 1) * BITS do
        is_new = is_new or were[bit] == 0
      end
      if is_new then
        new[#new + 1] = votes[i]
      end
    end
  end
  return new
end

local function trim(key)
  local many = call('ZCARD', key)
  if many > KEPT_MAX then
    call('ZREMRANGEBYRANK', key, 0, many - KEPT_AFTER_TRIM - 1)
  end
end

-- Scores that have grown and are not written yet, by ranking and subject: many votes are for the same few.
local grown = {}

local function write(key)
  for subject, score in pairs(grown[key]) do
    call('ZADD', key, format('%.17g', score), subject)
  end
  grown[key] = {}
end

local function add(window, kind, subject, weight)
  local key, new = window.ranking[kind], window.age + log(weight) / LN2
  grown[key] = grown[key] or {}
  local score = grown[key][subject] or tonumber(call('ZSCORE', key, subject) or '')
  if score then
    local high, low = math.max(score, new), math.min(score, new)
    grown[key][subject] = high + log(1 + 2 ^ (low - high)) / LN2
  else
    -- A new subject may push the lowest out: which those are is to be known.
    write(key)
    call('ZADD', key, format('%.17g', new), subject)
    trim(key)
  end
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

-- Whether a vote counts that is new in so many windows.
local function cast(vote)
  local kind, weight, subject = tonumber(ARGV[vote.at]), tonumber(ARGV[vote.at + 2]), ARGV[vote.at + 3]
  local counts = vote.new_in > 0
  if counts and ARGV[vote.at + 1] == '1' and not call('ZSCORE', windows[WEEK].ranking[kind], subject) then
    counts = people(subject, vote.new_in >= DAY) >= PEOPLE_MIN
  end
  if counts then
    for w = 1, vote.new_in do
      add(windows[w], kind, subject, weight)
    end
  end
  return counts
end

-- The votes of each batch that was not counted before, and all of them.
local batches, votes, at = {}, {}, 1 + WINDOWS * 4
for key = 3 + WINDOWS * 5, #KEYS do
  local seq, from, to = ARGV[at], at + 2, at + 2 + ARGV[at + 1] * VOTE
  local last, batch = call('GET', KEYS[key]), {}
  if not last or tonumber(seq) > tonumber(last) then
    call('SET', KEYS[key], seq, 'PX', SOURCE_TTL_MS)
    batch.votes = {}
    for vote = from, to - 1, VOTE do
      votes[#votes + 1] = {at = vote, new_in = 0}
      batch.votes[#batch.votes + 1] = votes[#votes]
    end
  end
  batches[#batches + 1] = batch
  at = to
end

-- Who voted in this hour voted in its day and week too.
for w = 1, WINDOWS do
  votes = insert(windows[w], votes)
  for _, vote in ipairs(votes) do
    vote.new_in = w
  end
end

local answers = {}
for _, batch in ipairs(batches) do
  local taken, counted = batch.votes and 'counted' or 'repeated', 0
  for _, vote in ipairs(batch.votes or {}) do
    counted = counted + (cast(vote) and 1 or 0)
  end
  answers[#answers + 1], answers[#answers + 2] = taken, tostring(counted)
end
for key in pairs(grown) do
  write(key)
end

-- A clock that is a little behind another's still finds the period before.
for w = 1, WINDOWS do
  call('PEXPIRE', windows[w].voted, 2 * ARGV[1 + (w - 1) * 4 + 3])
end
call('PEXPIRE', KEYS[1], 2 * ARGV[1 + (DAY - 1) * 4 + 3])
return answers
