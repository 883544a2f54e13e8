-- The queue clock: what time a script takes it to be, in milliseconds since 1970.
-- It is the time of Redis, read once, so that all servers share it, and it never goes back behind `clk`, the time of the
-- last change. The asking server is its witness (ARGV[2]). Where the two differ by more than 30 seconds one of them is
-- wrong, and mostly nobody can tell which. Then what has ended is judged by the earlier one, so that a clock of Redis
-- that has jumped ahead ends no lease and no retention early; but what is written down is the time of Redis, so that a
-- server with a wrong clock misleads no other. A witness that is behind `clk` is the one that is wrong.
-- ARGV[1] is the clock of a test, and 0 in production.
-- Returns the time to judge by, whether the clocks agree ("steady"), and the time to write down. `clk` is stored only
-- when they agree.
local WITNESS_TOLERANCE = 30000
local function read_clock(clk)
  local now = tonumber(ARGV[1])
  local steady, written = true, now
  if now == 0 then
    local t = redis.call('TIME')
    now = t[1] * 1000 + math.floor(t[2] / 1000)
    written = now
    local witness = tonumber(ARGV[2])
    if math.abs(now - witness) > WITNESS_TOLERANCE then
      steady = false
      if witness < now and witness >= clk - WITNESS_TOLERANCE then now = witness end
    elseif clk - now > WITNESS_TOLERANCE then
      steady = false
    end
  end
  if now < clk then now = clk end
  if written < now then written = now end
  return now, steady, written
end
