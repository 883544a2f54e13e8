-- Counts a queue's messages by state, after bringing it up to date.
-- ARGV[6] milliseconds: retention
-- ARGV[7] sessions of living servers in ascending order, "," before, between and behind them, or "" to leave dead ones' lanes alone
-- ARGV[8] milliseconds: how long a deduplication key is remembered
-- Returns: "ok", the time, available, in flight, delayed, the time at which the oldest available message was sent or 0, sent, received, deleted and expired since the queue was made, "1" when the clocks agree, how many messages and keys were tidied, how many are on their way to another queue, how many left for the dead-letter queue and how many were moved since the queue was made, bytes of all records and states, dropped since the queue was made; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: it brings up to date what is not; the second call finds nothing to do.
--- @include "lib/queue"
--- @include "lib/wake"
--- @include "lib/tidy"
--- @include "lib/forget"
local q = open_queue('pop', 'tomb', 'in', 'out', 'del', 'exp', 'nd', 'ag', 'vt', 'gr', 'to', 'dl', 'mv', 'drop', 'tt', 'gb')
if q.refusal then return q.refusal end
local ready, moved = tidy_due(q)
local ended = tidy_expired(q, tonumber(ARGV[6]), MOST)
local forgotten = forget_keys(q, tonumber(ARGV[8]), MOST)
if ARGV[7] ~= '' then
  -- A session that is newer than all in the list may have begun since the list was made.
  local newest = tonumber(string.match(ARGV[7], '(%d+),$'))
  for _, field in ipairs(redis.call('HKEYS', HEAD)) do
    local session = string.match(field, '^L(%d+)%.')
    if session and tonumber(session) < newest and not string.find(ARGV[7], ',' .. session .. ',', 1, true) then
      redis.call('HDEL', HEAD, field)
    end
  end
end
if ready > 0 then wake(q, q.fifo and offered(q) or ready, 0) end
if #q.f > 0 or forgotten > 0 then close_queue(q) elseif note then write_steps(q) end

local held_now = redis.call('ZCOUNT', FLIGHT, lease_bound(q.now), LAST)
local delayed = redis.call('ZCOUNT', DELAYED, '(' .. num(q.now), LAST)
local available = redis.call('HLEN', BODY) - 1 - held_now - delayed
local oldest = 0
local function older(id)
  local record = redis.call('HGET', BODY, id)
  if record and (oldest == 0 or sent(record) < oldest) then oldest = sent(record) end
end
local skip = redis.call('LINDEX', READY, 0) == '' and 1 or 0
for _, id in ipairs(redis.call('LRANGE', READY, skip, skip + 9)) do
  -- Deleted messages may stand at the head; a few are looked past.
  if oldest == 0 then older(id) end
end
-- The first message among those of `again`, and the first one of a group: their scores are not quite of one kind.
local seen = {}
for _, member in ipairs(redis.call('ZRANGE', AGE, 0, q.gr == 0 and 0 or MOST - 1)) do
  if member == '' then break end
  if not seen[#member] then
    seen[#member] = true
    local entry = #member == 8 and group_entries(member, 1)[1]
    older(entry and id_of(member_at(entry)) or member)
  end
end
return { 'ok', num(q.now), num(available), num(held_now), num(delayed), num(oldest),
  num(q['in']), num(q.out), num(q.del), num(q.exp), q.steady and '1' or '0', num(moved + ended + forgotten), num(q.to), num(q.dl), num(q.mv),
  num(q.by + q.gb), num(q.drop) }
