-- Answers how many holds ended, and the milliseconds until the next one does.

if not open(KEYS) then
  return NOT_LOADED
end
local now = clock()
local freed = sweep(now)
if soonest >= NEVER then
  return finish({'ok', int(freed)})
end
return finish({'ok', int(freed), int(math.max(0, soonest - now))})
