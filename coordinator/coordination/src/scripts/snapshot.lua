return {'ok', redis.call('HGET', META, 'version'), redis.call('GET', SEATS)}
