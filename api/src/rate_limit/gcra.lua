-- Takes tokens by GCRA: of each limit as many as all of them have, and no more than wanted.
-- All that is kept of a limit is when its quota will be whole again (the theoretical arrival time, in µs of this
-- server's clock), under a key that expires then.
-- KEYS the limits that one request has to pass; ARGV[1] how many tokens are wanted, then of each limit the µs per token and its burst
-- The answer is how many were taken, and of each limit the µs until its quota is whole.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken = tonumber(ARGV[1])
local whole = {}
for i, key in ipairs(KEYS) do
  local interval = tonumber(ARGV[2 * i])
  local window = interval * ARGV[2 * i + 1]
  local ahead = (tonumber(redis.call('GET', key)) or now) - now
  -- Nobody waits for more than a whole quota, also not after a clock that jumped or with another setting.
  whole[i] = math.min(math.max(ahead, 0), window)
  taken = math.min(taken, math.floor((window - whole[i]) / interval))
end
if taken > 0 then
  for i, key in ipairs(KEYS) do
    whole[i] = whole[i] + taken * ARGV[2 * i]
    redis.call('SET', key, string.format('%.0f', now + whole[i]), 'PX', math.ceil(whole[i] / 1000))
  end
end
return {taken, unpack(whole)}
