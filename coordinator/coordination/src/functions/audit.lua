-- Answers the version, the seats, and each hold.

if not open(KEYS) then
  return NOT_LOADED
end
local out = {'ok', int(version), call('GET', SEATS)}
local holds = call('HGETALL', HOLDS)
for i = 1, #holds, 2 do
  out[#out + 1] = holds[i] .. '|' .. holds[i + 1]
end
return out
