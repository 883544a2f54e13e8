-- Makes a subscription, or changes the settings of one for what is published from now on.
-- ARGV[3] name
-- ARGV[4] JSON of the settings that the caller saw, or "" for a new one
-- ARGV[5] JSON of the new settings, a text that was never stored before
-- ARGV[6] uid
-- ARGV[7] how many subscriptions the topic may have
-- ARGV[8] how many versions of one may be kept
-- ARGV[9] name of the dead-letter queue that it has no more, or "": what that remembers of it is still to be forgotten
-- Returns: "ok" and the subscription's versions; "changed" when it is not as the caller saw it; "full" when there are too many; "busy" when it is too far behind to be changed so often; or "absent" or "gone"
-- Flags: none
-- Again: the last version is the new one already.
--- @include "lib/topic"
--- @include "lib/refusal"
local q = open_topic('in', 'sv', 'fu')
if q.refusal then return q.refusal end
local have = redis.call('HGET', SUBSCRIPTIONS, ARGV[3])
local versions, p = {}, have and read_progress(ARGV[6])
for from, json in string.gmatch(have or '', '(%d+) ([^\n]+)') do versions[#versions + 1] = { tonumber(from), json } end
local last = versions[#versions]
if last and last[2] == ARGV[5] then return { 'ok', have } end
if (last and last[2] or '') ~= ARGV[4] or have and not p then return { 'changed' } end
if not have then
  if redis.call('HLEN', PROGRESS) > tonumber(ARGV[7]) then return { 'full' } end
  write_progress(ARGV[6], { cursor = q.sq, base = q['in'], delivered = 0, filtered = 0, dropped = 0, failed = 0, paused = 0, trouble = '' })
  redis.call('ZADD', MARKS, num(q.sq), ARGV[6])
elseif last[1] == q.sq then
  versions[#versions] = nil -- nothing was published while it held
end
versions[#versions + 1] = { q.sq, ARGV[5] }
while versions[2] and versions[2][1] <= (p and p.cursor or 0) do table.remove(versions, 1) end
if #versions > tonumber(ARGV[8]) then return { 'busy' } end
local lines = {}
for i, v in ipairs(versions) do lines[i] = num(v[1]) .. ' ' .. v[2] end
local all = table.concat(lines, '\n')
redis.call('HSET', SUBSCRIPTIONS, ARGV[3], all)
note_letters(ARGV[6], ARGV[9])
refuse(q, ARGV[6], '') -- by its new settings it may not be full
set(q, 'sv', q.sv + 1)
close_topic(q)
return { 'ok', all }
