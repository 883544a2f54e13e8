-- Notes up to where a topic's log need not keep anything for webhooks, and removes what it need not keep any more.
-- ARGV[3] milliseconds: retention
-- ARGV[4] milliseconds: how long the log waits for a subscription
-- ARGV[5+] per webhook two, at most 1,000 of them: uid of its subscription, sequence number
-- Returns: "ok", how many messages were removed, and "1" where it is to be said again because a subscription has not been noted as far; or "absent" or "gone"
-- Flags: allow-oom
-- Again: the marks are there already.
--- @include "lib/topic"
--- @include "lib/subscription"
local q = open_topic()
if q.refusal then return q.refusal end
local early = false
for i = 5, #ARGV, 2 do
  local p, have = read_progress(ARGV[i]), redis.call('ZSCORE', MARKS, ARGV[i])
  local mark = tonumber(ARGV[i + 1])
  if p and have then
    early = early or mark > p.cursor
    mark = math.min(mark, p.cursor)
    if mark > tonumber(have) then redis.call('ZADD', MARKS, num(mark), ARGV[i]) end
  end
end
raise_floor(q, tonumber(ARGV[3]), tonumber(ARGV[4]))
local gone = trim(q, MOST)
close_topic(q)
return { 'ok', num(gone), early and '1' or '0' }
