-- Puts jobs on the schedule; one that is there already is never made later, only earlier.
-- KEYS[1] schedule; ARGV id, delay in ms, id, delay, …
-- The answer is how many were added or made earlier. All times are this server's own clock: no
-- other machine's clock decides when a job is due in Redis.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local added = 0
for i = 1, #ARGV, 2 do
  added = added + redis.call('ZADD', KEYS[1], 'LT', 'CH', now + ARGV[i + 1], ARGV[i])
end
return added
