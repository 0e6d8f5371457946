-- Moves due jobs from the schedule to the leases.
-- KEYS[1] schedule, KEYS[2] leases
-- ARGV[1] how many at most, ARGV[2] lease in ms, ARGV[3] the worker's boot id, ARGV[4] its next claim number
-- The answer is the claimed ids, in the order of their claim numbers, and the ms until the
-- next job is due (-1: none is scheduled).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for i, id in ipairs(due) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZADD', KEYS[2], now + ARGV[2], id .. ':' .. ARGV[3] .. '-' .. string.format('%.0f', ARGV[4] + i - 1))
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local wait = -1
if head[2] then
  wait = math.max(0, tonumber(head[2]) - now)
end
return {due, wait}
