if not open(KEYS) then
  return NOT_LOADED
end
return {'ok', int(version), call('GET', SEATS)}
