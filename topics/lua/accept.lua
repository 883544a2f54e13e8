-- Takes messages that another topic brings for one of its subscriptions, in their order and each once however often it is
-- brought: the head remembers under the source up to which of its numbers all has come, and what has a smaller one is not
-- stored again. Where there is no room left it takes what comes before, and says how far that is.
-- ARGV[3] version of the settings that the caller knows
-- ARGV[4] the field of the head that is the source's: "S" and its name
-- ARGV[5] number up to which this call brings all
-- ARGV[6] session of the caller's server
-- ARGV[7] number of the topic's entry in the index that the caller has made, or 0
-- ARGV[8] milliseconds: how long a server carries without saying so again
-- ARGV[9] milliseconds: retention
-- ARGV[10] milliseconds: how long the log waits for a subscription
-- ARGV[11] how many messages the log may hold
-- ARGV[12] how many bytes they may take
-- ARGV[13] "" where the tenant may store any number of bytes; "1" to be told when the topic must be granted more, "2" to take what its grant has room for
-- ARGV[14+] per message two, at most 100 of them: its number at the source, growing, none above that of the call; id (12 bytes) and record
-- Returns: "ok", the time, the number up to which all has come, how many were stored, "1" when the caller's server is to carry, and why the others were not: "full" or "full_bytes" for the log, "stored" for the tenant, "refused" for a subscription, whose name is next; or "stale", version and settings; "idle" and the last number of an entry in the index, when there is none; "short", how many bytes it wants to fill in all, its grant, the number of that, how many it has filled, and "1" for an empty log, which has no room for a single message; or "gone" or "absent"
-- Flags: none
-- Again: what has come is not above what the head remembers.
--- @include "lib/topic"
--- @include "lib/append"
--- @include "lib/refusal"
--- @include "lib/rouse"
--- @include "lib/stored"
local q = open_topic('in', 'ix', 'gn', 'ow', 'ot', 'sl', 'gt', 'gs', 'fu', ARGV[4])
if q.refusal then return q.refusal end
local before, upto, session = q[ARGV[4]], tonumber(ARGV[5]), tonumber(ARGV[6])
if before >= upto then return { 'ok', num(q.now), num(before), '0', '1', '' } end
if q.v ~= ARGV[3] then return { 'stale', q.v, redis.call('HGET', HEAD, 'set') } end
if not indexed(q, tonumber(ARGV[7])) then return { 'idle', num(q.gn) } end

local list = {}
for i = 14, #ARGV, 2 do
  local number = tonumber(ARGV[i])
  if number > before then list[#list + 1] = { number, ARGV[i + 1] } end
end
raise_floor(q, tonumber(ARGV[9]), tonumber(ARGV[10]))
trim(q, MOST - #list)

-- How many of them there is room for. An empty log takes one whatever the tenant has stored, or none could ever be got out
-- of a log that has filled all there is.
local fits, why, bytes, held = #list, '', 0, redis.call('ZCARD', INDEX) - 1
local left = ARGV[13] ~= '' and q.gt - stored(q)
local refused = refuser(q)
for i, m in ipairs(list) do
  local more = bytes + #m[2]
  if refused then
    why = 'refused'
  elseif held + i > tonumber(ARGV[11]) then
    why = 'full'
  elseif q.by + more > tonumber(ARGV[12]) then
    why = 'full_bytes'
  elseif left and more + WEIGHT * i > left then
    local alone, count = ARGV[13] == '2' and held + i == 1, i
    if ARGV[13] == '1' then
      count = #list
      for k = i + 1, count do more = more + #list[k][2] end
    end
    if ARGV[13] == '1' or alone then
      close_topic(q)
      local used = stored(q)
      return { 'short', num(used + more + WEIGHT * count), num(q.gt), num(q.gs), num(used), alone and '1' or '0' }
    end
    why = 'stored'
  end
  if why ~= '' then
    fits = i - 1
    break
  end
  bytes = more
end

local reached = fits == #list and upto or math.max(list[fits + 1][1] - 1, before)
local records, entries, seq = {}, {}, math.max(q.sq + 1, turn(q.time)) - 1
for i = 1, fits do
  local record = list[i][2]
  local entry = entry_of(seq + i, #record)
  records[2 * i - 1], records[2 * i] = entry, record
  entries[2 * i - 1], entries[2 * i] = num(seq + i), entry
end
if fits > 0 then append_log(q, records, entries, bytes) end
if reached > before then set(q, ARGV[4], reached) end
local mine = rouse(q, session, tonumber(ARGV[8]))
close_topic(q)
return { 'ok', num(q.now), num(reached), num(fits), mine, why, refused or '' }
