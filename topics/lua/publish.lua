-- Appends messages to a topic's log, and has somebody carry them to the subscriptions.
-- ARGV[3] version of the settings that the caller knows
-- ARGV[4] lane: the field of the head that remembers this caller's last call, "L<session>.0"
-- ARGV[5] number of this call in its lane; a call with the number of the last one gets that one's answer
-- ARGV[6] session of the caller's server
-- ARGV[7] number of the topic's entry in the index that the caller has made, or 0
-- ARGV[8] milliseconds: how long a server carries without saying so again
-- ARGV[9] milliseconds: retention
-- ARGV[10] milliseconds: how long the log waits for a subscription
-- ARGV[11] milliseconds: how long a deduplication key is remembered
-- ARGV[12] how many deduplication keys the topic may remember
-- ARGV[13] how many messages the log may hold
-- ARGV[14] how many bytes they may take
-- ARGV[15] "1" when a key that was used with another body refuses all of them
-- ARGV[16] "1" to be told when the topic must be granted more, "" where the tenant may store any number of bytes
-- ARGV[17+] per message two: id (12 bytes), and behind it deduplication digest (16 bytes) and body digest (8 bytes) or neither; its record
-- Returns: "ok", the time, 20 bytes per message: "=" stored, "d" an earlier one with that key was, "c" key used with another body; id; place (7 bytes); "1" when the caller's server is to carry; or "stale", version and settings; "idle" and the last number of an entry in the index, when there is none; "short", how many bytes it wants to fill in all, its grant, the number of that, and how many it has filled; "full", "full_bytes", "dedup_full", "conflict", "late", "gone" or "absent"; "refused" and the name of the subscription that is full
-- Flags: none
-- Again: the lane remembers the answer.
--- @include "lib/topic"
--- @include "lib/append"
--- @include "lib/forget"
--- @include "lib/refusal"
--- @include "lib/rouse"
--- @include "lib/stored"
local q = open_topic('in', 'ix', 'gn', 'ow', 'ot', 'sl', 'fu')
if q.refusal then return q.refusal end
local number, session = tonumber(ARGV[5]), tonumber(ARGV[6])
local last, last_answer = string.match(redis.call('HGET', HEAD, ARGV[4]) or '0|', '^(%d+)|(.*)$')
if tonumber(last) == number then
  local time, verdicts = string.match(last_answer, '^(%d+)|(.*)$')
  return { 'ok', time, verdicts, '1' }
end
if tonumber(last) > number then return { 'late' } end
if q.v ~= ARGV[3] then return { 'stale', q.v, redis.call('HGET', HEAD, 'set') } end
if not indexed(q, tonumber(ARGV[7])) then return { 'idle', num(q.gn) } end

local count, window, retention = (#ARGV - 16) / 2, tonumber(ARGV[11]), tonumber(ARGV[9])
local seen, kept, verdicts, twins, fresh, conflict, bytes = {}, {}, {}, {}, 0, false, 0
local seq = math.max(q.sq + 1, turn(q.time)) - 1
local places = {}
for i = 1, count do
  local head, record = ARGV[15 + 2 * i], ARGV[16 + 2 * i]
  local id, key, print = string.sub(head, 1, 12), string.sub(head, 13, 28), string.sub(head, 29, 36)
  local first = key ~= '' and (seen[key] or redis.call('HGET', DEDUP, key))
  local mark = first and string.find(first, '|', 1, true)
  if first and tonumber(string.sub(first, 1, mark - 1)) + window > q.now then
    local same = string.sub(first, mark + 13, mark + 20) == print
    conflict = conflict or not same
    twins[i] = true
    verdicts[i] = (same and 'd' or 'c') .. string.sub(first, mark + 1, mark + 12) .. string.sub(first, mark + 21)
  else
    seq = seq + 1
    places[i] = seq
    bytes = bytes + #record + 12
    local place = pack_number(seq, 7)
    verdicts[i] = '=' .. id .. place
    if key ~= '' then
      kept[i] = num(q.time) .. '|' .. id .. print .. place
      seen[key] = kept[i]
      fresh = fresh + 1
    end
  end
end
if conflict and ARGV[15] == '1' then return { 'conflict' } end
if q.fu ~= 0 and bytes > 0 then
  local name = refuser(q)
  if name then
    close_topic(q)
    return { 'refused', name }
  end
end
raise_floor(q, retention, tonumber(ARGV[10]))
trim(q, MOST - count)
if redis.call('ZCARD', INDEX) - 1 + count > tonumber(ARGV[13]) then
  close_topic(q)
  return { 'full' }
end
if q.by + bytes > tonumber(ARGV[14]) then
  close_topic(q)
  return { 'full_bytes' }
end
if fresh > 0 and redis.call('LLEN', ORDER) - 1 + fresh > tonumber(ARGV[12]) then
  local oldest = redis.call('LINDEX', ORDER, 1)
  if oldest and tonumber(string.sub(oldest, 17)) + window > q.now then return { 'dedup_full' } end
end
if ARGV[16] == '1' and bytes > 0 then
  local used, more, h = stored(q), bytes + WEIGHT * fresh, redis.call('HMGET', HEAD, 'gt', 'gs')
  for i = 1, count do more = more + (twins[i] and 0 or WEIGHT) end
  if used + more > (tonumber(h[1]) or 0) then
    forget_keys(q, window, MOST)
    close_topic(q)
    used = stored(q)
    return { 'short', num(used + more), h[1] or '0', h[2] or '0', num(used) }
  end
end

local records, entries = {}, {}
for i = 1, count do
  if not twins[i] then
    local head = ARGV[15 + 2 * i]
    local record = string.sub(head, 1, 12) .. ARGV[16 + 2 * i]
    local entry = entry_of(places[i], #record)
    records[#records + 1] = entry
    records[#records + 1] = record
    entries[#entries + 1] = num(places[i])
    entries[#entries + 1] = entry
    if kept[i] then
      local key = string.sub(head, 13, 28)
      redis.call('HSET', DEDUP, key, kept[i])
      redis.call('RPUSH', ORDER, key .. num(q.time))
    end
  end
end
if #entries > 0 then append_log(q, records, entries, bytes) end
if fresh > 0 then forget_keys(q, window, 2 * fresh + 1) end
local mine = rouse(q, session, tonumber(ARGV[8]))
local all = table.concat(verdicts)
set(q, ARGV[4], ARGV[5] .. '|' .. num(q.time) .. '|' .. all)
close_topic(q)
return { 'ok', num(q.time), all, mine }
