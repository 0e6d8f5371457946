-- Gives leases up and puts their jobs back on the schedule.
-- KEYS[1] schedule, KEYS[2] leases; ARGV id, token, delay in ms, id, token, delay, …
-- A lease that is gone (reaped, wiped) is no reason to lose the job: it is
-- scheduled all the same, and the ledger refuses what is not due.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #ARGV, 3 do
  redis.call('ZREM', KEYS[2], ARGV[i] .. ':' .. ARGV[i + 1])
  redis.call('ZADD', KEYS[1], 'NX', now + ARGV[i + 2], ARGV[i])
end
return #ARGV / 3
