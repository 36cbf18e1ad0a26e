-- ARGV: the version the reader has.

if not open(KEYS) then
  return NOT_LOADED
end
local entries = changes_after(tonumber(ARGV[1]))
if not entries then
  return {'snapshot'}
end
local out = {'ok'}
for _, entry in ipairs(entries) do
  out[#out + 1] = string.match(entry[1], '^%d+')
  out[#out + 1] = entry[2][2]
end
return out
