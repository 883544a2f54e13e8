-- Removes messages that a topic does not keep any more, at most 100 of them, and forgets deduplication keys and lanes.
-- ARGV[3] milliseconds: retention
-- ARGV[4] milliseconds: how long the log waits for a subscription
-- ARGV[5] milliseconds: how long a deduplication key is remembered
-- ARGV[6] sessions of living servers in ascending order, "," before, between and behind them, or "" to leave dead ones' lanes alone
-- Returns: "ok" and how much was removed; or "absent" or "gone"
-- Flags: allow-oom
-- Again: it removes what is left.
--- @include "lib/topic"
--- @include "lib/forget"
local q = open_topic()
if q.refusal then return q.refusal end
raise_floor(q, tonumber(ARGV[3]), tonumber(ARGV[4]))
local gone = trim(q, MOST) + forget_keys(q, tonumber(ARGV[5]), MOST)
if ARGV[6] ~= '' then
  -- A session that is newer than all in the list may have begun since the list was made.
  local newest = tonumber(string.match(ARGV[6], '(%d+),$'))
  for _, field in ipairs(redis.call('HKEYS', HEAD)) do
    local session = string.match(field, '^L(%d+)%.')
    if session and tonumber(session) < newest and not string.find(ARGV[6], ',' .. session .. ',', 1, true) then
      redis.call('HDEL', HEAD, field)
    end
  end
end
close_topic(q)
return { 'ok', num(gone) }
