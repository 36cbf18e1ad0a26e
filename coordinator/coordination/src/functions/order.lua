-- Holds that become orders, one after the other, in one step. ARGV, for each: hold, user, order. The answer is two texts for each.

if not open(KEYS) then
  return NOT_LOADED
end
local now = clock()
sweep(now)
local ids = {}
for i = 1, #ARGV, ORDER_ARGUMENTS do
  ids[#ids + 1] = ARGV[i]
end
-- By id, because the same one may stand here twice.
local holds = {}
for i, text in ipairs(call('HMGET', HOLDS, unpack(ids))) do
  holds[ids[i]] = if_live(parse(ids[i], text), now)
end
local kept, ended = {}, {}

local function order(id, user, order)
  local h = holds[id]
  if not h or h.user ~= user then
    return 'not found', ''
  elseif h.order == '' then
    h.order, h.since = order, int(now)
    kept[#kept + 1], kept[#kept + 2] = id, value(h)
    ended[#ended + 1] = id
  elseif h.order ~= order then
    return 'ordered', h.order
  end
  return 'ok', write(h)
end

local answers = {}
for i = 1, #ARGV, ORDER_ARGUMENTS do
  answers[#answers + 1], answers[#answers + 2] = order(unpack(ARGV, i, i + ORDER_ARGUMENTS - 1))
end
if kept[1] then
  call('HSET', HOLDS, unpack(kept))
  call('ZREM', ENDS, unpack(ended))
end
return finish(answers)
