-- KEYS: what to write to.  Writes as the inbox does, and leaves nothing.
for _, key in ipairs(KEYS) do
  redis.call('SET', key, 1, 'PX', 10000) -- first, since Redis lets a script that has written go on when its memory is full
  for _, write in ipairs({ { 'HSET', key, 'field', 1 }, { 'ZADD', key, 1, 'member' }, { 'LPUSH', key, 1 }, { 'SADD', key, 1 } }) do
    redis.call('DEL', key)
    redis.call(unpack(write))
    redis.call('PEXPIRE', key, 10000)
  end
  redis.call('DEL', key)
end
