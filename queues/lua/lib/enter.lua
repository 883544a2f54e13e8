--- @include "lib/groups"
-- Enters messages that come from another queue, or that come back from their way to one.

-- Puts a message whose record is stored where it belongs, and notes its group in groups. side is what is known of it, as
-- a side record or "", with what it took along on its way: behind ",w" when it becomes available, behind ",t" its own
-- end, and behind ",n" how often it was forwarded. Returns 1 when it is available, and else 0 and when it becomes so.
local function enter(q, member, side, groups)
  local id = id_of(member)
  local d, r, f, first, rest = read_side(side ~= '' and side)
  local own, said = split_rest(rest)
  local due, ends = tonumber(string.match(own, ',w(%d+)') or 0), tonumber(string.match(own, ',t(%d+)') or 0)
  own = string.gsub(own, ',[wtn]%d+', '')
  if d > 0 or own ~= '' or said ~= '' then redis.call('HSET', SIDE, id, write_side(d, r, f, first, own .. said)) end
  if ends > 0 then
    redis.call('ZADD', EXPIRY, num(ends), member)
    if q.tt == 0 then set(q, 'tt', 1) end
    if q.fifo and ends < q.nd then set(q, 'nd', ends) end
  end
  local waits = due > q.now
  if waits then
    redis.call('ZADD', DELAYED, num(due), member)
    if due < q.nd then set(q, 'nd', due) end
  end
  if grouped(member) then
    if q.gr == 0 then set(q, 'gr', 1) end
    if q.fifo or not waits then
      redis.call('ZADD', MEMBERS, 0, entry_of(member))
      touch(groups, group_of(member))
    end
  elseif not waits then
    redis.call('ZADD', AGAIN, rank(q.now, own), id)
    redis.call('ZADD', AGE, num(made(id)), id)
    if q.ag == 0 then set(q, 'ag', 1) end
  end
  if waits then return 0, due end
  return 1
end
