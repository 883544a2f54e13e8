-- Has entries sent again that failed, at most 100 of them, with all of their attempts before them.
-- ARGV[3] milliseconds: only those that failed then or later
-- ARGV[4] entry, for that one alone, also when it waits for its next attempt; or ""
-- ARGV[5] session of the server that sends for the shard, or 0
-- Returns: "ok", how many, in how many milliseconds to look at it next, or -1; or "absent"
-- Flags: allow-oom
-- Again: what is to be sent has not failed.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
local ids = { ARGV[4] }
if ARGV[4] == '' then
  ids = redis.call('ZRANGEBYSCORE', DEAD, ARGV[3], num(q.now), 'LIMIT', 0, MOST)
elseif redis.call('ZSCORE', QUEUE, ARGV[4]) then
  redis.call('ZADD', QUEUE, num(q.now), ARGV[4])
elseif not redis.call('ZSCORE', DEAD, ARGV[4]) then
  ids = {}
end
for _, id in ipairs(ids) do
  local group = string.sub(id, 15)
  if redis.call('ZREM', DEAD, id) == 1 then
    local _, _, _, message = read_state(id)
    write_state(q, id, 0, 0, '', message, #message)
    if message == '' then redis.call('ZADD', FRESH, num(tonumber(string.sub(id, 1, 14), 16)), id) end
    local alone = group == '' or #redis.call('ZRANGEBYLEX', GROUPS, '[' .. group, '(' .. group .. 'g', 'LIMIT', 0, 1) == 0
    if group ~= '' then redis.call('ZADD', GROUPS, 0, group .. id) end
    if alone then redis.call('ZADD', QUEUE, num(q.now), id) end
  end
end
local next = close_hook(q)
tell(ARGV[5])
return { 'ok', num(#ids), num(next) }
