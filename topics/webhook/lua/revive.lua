-- Has entries sent again that failed, with all of their attempts before them.
-- ARGV[3] milliseconds: only those that failed then or later
-- ARGV[4] milliseconds: and before then; or 0 for now
-- ARGV[5] how many at most, up to 100
-- ARGV[6] session of the server that sends for the shard, or 0
-- ARGV[7+] entries, at most 100: for those alone, also where they wait for their next attempt, and whenever they failed
-- Returns: "ok", how many, in how many milliseconds to look at it next, or -1, how many are left of them, the time; or "absent"
-- Flags: allow-oom
-- Again: what is to be sent has not failed.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
local before = ARGV[4] == '0' and ENDLESS or ARGV[4]
local ids = {}
if #ARGV < 7 then ids = redis.call('ZRANGEBYSCORE', DEAD, ARGV[3], '(' .. before, 'LIMIT', 0, math.min(tonumber(ARGV[5]), MOST)) end
for i = 7, #ARGV do
  if redis.call('ZSCORE', QUEUE, ARGV[i]) then
    redis.call('ZADD', QUEUE, num(q.now), ARGV[i])
    ids[#ids + 1] = ARGV[i]
  elseif redis.call('ZSCORE', DEAD, ARGV[i]) then
    ids[#ids + 1] = ARGV[i]
  end
end
for _, id in ipairs(ids) do
  local group = string.sub(id, 15)
  local failed = redis.call('ZSCORE', DEAD, id)
  if failed then
    redis.call('ZREM', DEAD, id)
    unskip(id, tonumber(failed))
    local _, _, why, message = read_state(id)
    local had, sequence = #message, tonumber(string.sub(id, 1, 14), 16)
    if why == 'damaged' then message = '' end -- the log may have it whole
    write_state(q, id, 0, 0, '', message, had)
    if message == '' and sequence then redis.call('ZADD', FRESH, num(sequence), id) end
    local alone = group == '' or #redis.call('ZRANGEBYLEX', GROUPS, '[' .. group, '(' .. group .. 'g', 'LIMIT', 0, 1) == 0
    if group ~= '' or q.oo ~= 0 then redis.call('ZADD', GROUPS, 0, group .. id) end
    if alone then redis.call('ZADD', QUEUE, num(q.now), id) end
  end
end
local next = close_hook(q)
tell(ARGV[6])
return { 'ok', num(#ids), num(next), num(redis.call('ZCOUNT', DEAD, ARGV[3], '(' .. before)), num(q.time) }
