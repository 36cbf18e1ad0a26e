-- The name of the history this server writes: another one with every start, and with every replica that becomes master.

local HISTORY = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or 'unknown'
