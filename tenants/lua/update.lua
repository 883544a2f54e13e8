-- Replaces a tenant's settings, or suspends or resumes it. It drains nothing, but who fills the memory must be stopped
-- while it is full, and a record has a bound.
-- KEYS[1] HASH the tenant's record
-- ARGV[3] labels, JSON, or "-" to leave the settings
-- ARGV[4] the rest of the settings, JSON, or "-"
-- ARGV[5] suspension, JSON, "" for none, or "-" to leave it
-- ARGV[6] etag after a change
-- ARGV[7] If-Match, or ""
-- ARGV[8] If-None-Match, or ""
-- Returns: "ok" and the record; or "gone" or "precondition"
-- Flags: allow-oom
-- Again: the second call finds the etag of the first and asks for nothing more.
--- @include "lib/clock"
--- @include "lib/record"
local have = redis.call('HMGET', KEYS[1], 'state', 'etag', 'updated', 'labels', 'more', 'suspended', 'since')
local state, etag, updated = have[1], have[2], have[3]
if not state or state == 'deleting' then return { 'gone' } end
if etag ~= ARGV[6] then
  if not holds(etag, ARGV[7], ARGV[8]) then return { 'precondition' } end
  local was, want = { have[4], have[5] or '{}', have[6] or '' }, { ARGV[3], ARGV[4], ARGV[5] }
  local changed = false
  for i = 1, 3 do
    if want[i] == '-' then want[i] = was[i] end
    changed = changed or want[i] ~= was[i]
  end
  if changed then
    local _, _, time = read_clock(tonumber(updated))
    local now = string.format('%.0f', time)
    -- A suspension that only changes began when it began.
    local since = is_suspended(was[3], time) and have[7] or now
    redis.call('HSET', KEYS[1], 'labels', want[1], 'more', want[2], 'suspended', want[3], 'since', since,
      'updated', now, 'etag', ARGV[6])
  end
end
return { 'ok', unpack(read_record(KEYS[1])) }
