if not open() then
  return NOT_LOADED
end
return {'ok', int(version), call('GET', SEATS)}
