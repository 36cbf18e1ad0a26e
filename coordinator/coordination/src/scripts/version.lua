return {'ok', redis.call('HGET', META, 'version')}
