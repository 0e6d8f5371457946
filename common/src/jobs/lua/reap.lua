-- Makes jobs due again whose lease has run out.
-- KEYS[1] schedule, KEYS[2] leases; ARGV[1] how many at most
-- The answer is how many. A member is `job id:token`, and an id has 36 characters.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(expired) do
  redis.call('ZREM', KEYS[2], member)
  redis.call('ZADD', KEYS[1], 'NX', now, string.sub(member, 1, 36))
end
return #expired
