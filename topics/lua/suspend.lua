-- Pauses a subscription, or ends that. While it is paused nothing is carried to it, and the log waits for it.
-- ARGV[3] uid
-- ARGV[4] "1" to pause, "0" to resume
-- ARGV[5] session of the caller's server
-- ARGV[6] number of the topic's entry in the index that the caller has made, or 0
-- ARGV[7] milliseconds: how long a server carries without saying so again
-- Returns: "ok" and "1" when the caller's server is to carry; "none" when there is no such subscription; "idle" and the last number of an entry in the index, when there is none and one is needed; or "absent" or "gone"
-- Flags: allow-oom
-- Again: it is paused already, or not any more.
--- @include "lib/topic"
--- @include "lib/subscription"
--- @include "lib/rouse"
local q = open_topic('ix', 'gn', 'ow', 'ot', 'sl', 'sv')
if q.refusal then return q.refusal end
local p = read_progress(ARGV[3])
if not p then return { 'none' } end
local mine = '0'
if ARGV[4] == '0' then
  if not indexed(q, tonumber(ARGV[6])) then return { 'idle', num(q.gn) } end
  mine = rouse(q, tonumber(ARGV[5]), tonumber(ARGV[7]))
end
if (p.paused ~= 0) ~= (ARGV[4] == '1') then
  p.paused = ARGV[4] == '1' and q.time or 0
  write_progress(ARGV[3], p)
  set(q, 'sv', q.sv + 1)
end
close_topic(q)
return { 'ok', mine }
