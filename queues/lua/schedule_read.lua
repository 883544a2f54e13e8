-- Reads schedules of a queue, as many of those that are asked for as go into one answer.
-- KEYS[1] HASH the queue's head
-- KEYS[2] HASH schedules: "d" and name to definition, "s" and name to state
-- ARGV[3+] name, at most 100
-- Returns: "ok", "gone" or "absent" for what the queue is; the time; per schedule its definition and its state, or twice "" where there is none. The answer ends early behind 512 KiB
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/clock"
local h = redis.call('HMGET', KEYS[1], 'v', 'clk')
local now = read_clock(tonumber(h[2]) or 0)
local out = { not h[1] and 'absent' or h[1] == 'x' and 'gone' or 'ok', string.format('%.0f', now) }
local bytes = 0
for i = 3, #ARGV do
  local s = redis.call('HMGET', KEYS[2], 'd' .. ARGV[i], 's' .. ARGV[i])
  out[#out + 1], out[#out + 2] = s[1] or '', s[2] or ''
  bytes = bytes + #out[#out - 1] + #out[#out]
  if bytes > 524288 then break end
end
return out
