-- Notes how far subscriptions are, and removes what the log need not keep any more.
-- ARGV[3] milliseconds: retention
-- ARGV[4] milliseconds: how long the log waits for a subscription
-- ARGV[5+] per subscription ten, at most 100 of them: uid; the sequence number at which it was; the one at which it is now; how many messages were delivered, filtered out, dropped because they had nowhere to go ("?": all that are not kept any more), and failed; its trouble, or "=" for what it was; up to which sequence number it does not need the log, or "=" for where it is now; its name when it is full and publishes are to be refused, "" when not any more, or "=" for as it was
-- Returns: "ok", a letter for each of them: "+" noted, "-" it is somewhere else or gone; how many messages were removed; or "absent" or "gone"
-- Flags: allow-oom
-- Again: a subscription that has moved on is not where the call says, and what it says of one that stays where it is holds as well.
--- @include "lib/topic"
--- @include "lib/refusal"
local q = open_topic('in', 'fu')
if q.refusal then return q.refusal end
local verdicts = {}
for i = 5, #ARGV, 10 do
  local uid, from, to = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local p = read_progress(uid)
  verdicts[#verdicts + 1] = '-'
  if p and p.cursor == from then
    verdicts[#verdicts] = '+'
    p.cursor = to
    p.delivered, p.filtered, p.failed = p.delivered + tonumber(ARGV[i + 3]), p.filtered + tonumber(ARGV[i + 4]), p.failed + tonumber(ARGV[i + 6])
    local dropped = tonumber(ARGV[i + 5])
    if not dropped then
      local passed = p.base + p.delivered + p.filtered + p.failed + p.dropped
      dropped = math.max(q.tr + redis.call('ZCOUNT', INDEX, '-inf', num(to)) - passed, 0)
    end
    p.dropped = p.dropped + dropped
    if ARGV[i + 7] ~= '=' then p.trouble = ARGV[i + 7] end
    write_progress(uid, p)
    redis.call('ZADD', MARKS, 'XX', num(math.min(tonumber(ARGV[i + 8]) or to, to)), uid)
    if ARGV[i + 9] ~= '=' then refuse(q, uid, ARGV[i + 9]) end
  end
end
raise_floor(q, tonumber(ARGV[3]), tonumber(ARGV[4]))
local gone = trim(q, MOST)
close_topic(q)
return { 'ok', table.concat(verdicts), num(gone) }
