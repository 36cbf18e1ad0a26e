-- ARGV: the version the reader has.

local after, version = tonumber(ARGV[1]), tonumber(redis.call('HGET', META, 'version'))
if after == version then
  return {'ok'}
end
local oldest = redis.call('XRANGE', CHANGES, '-', '+', 'COUNT', 1)[1]
if not oldest or after > version or after < tonumber(string.match(oldest[1], '^%d+')) - 1 then
  return {'snapshot'}
end
local out = {'ok'}
for _, entry in ipairs(redis.call('XRANGE', CHANGES, int(after + 1) .. '-0', '+')) do
  out[#out + 1] = string.match(entry[1], '^%d+')
  out[#out + 1] = entry[2][2]
  out[#out + 1] = entry[2][4]
end
return out
