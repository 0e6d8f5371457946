-- Prolongs leases that are still there.
-- KEYS[1] leases; ARGV[1] lease in ms, ARGV[2…] members
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[i])
end
return #ARGV - 1
