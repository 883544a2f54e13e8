-- The queue clock: what time a script takes it to be, in milliseconds since 1970.
-- It is the time of Redis, read once, so that all servers share it; it never goes back behind `clk`, the time of the
-- last change; and where Redis and the asking server (the witness, ARGV[2]) differ by more than 30 seconds it is the
-- earlier of the two, so that a clock that has jumped ahead ends no lease and no retention early.
-- ARGV[1] is the clock of a test, and 0 in production.
-- Returns the time, and whether the clocks agree ("steady"). `clk` is stored only when they do.
local WITNESS_TOLERANCE = 30000
local function read_clock(clk)
  local now = tonumber(ARGV[1])
  local steady = true
  if now == 0 then
    local t = redis.call('TIME')
    now = t[1] * 1000 + math.floor(t[2] / 1000)
    local witness = tonumber(ARGV[2])
    if math.abs(now - witness) > WITNESS_TOLERANCE then
      steady = false
      if witness < now then now = witness end
    elseif clk - now > WITNESS_TOLERANCE then
      steady = false
    end
  end
  if now < clk then now = clk end
  return now, steady
end
