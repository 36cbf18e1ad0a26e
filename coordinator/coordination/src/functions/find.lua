-- ARGV: hold.

if not open(KEYS) then
  return NOT_LOADED
end
local h = if_live(read(ARGV[1]), clock())
if h then
  return {'ok', write(h)}
end
return {'not found'}
