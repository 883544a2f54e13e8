--- @include "lib/index"
-- What is known of a message's earlier deliveries, as a side record, and since when it is held. Of a first lease without
-- one, and a later one without a mark, its end tells when it began. letter is that of peek.lua; score that of the index.
local function past(q, letter, id, score)
  local record = redis.call('HGET', SIDE, id)
  if record and letter ~= 'F' then return record end
  if record then
    local d, r, f, first, rest = read_side(record)
    if d == 0 or marked(rest) then return record end
    return write_side(d, r, f, first, hold(rest, ',h' .. num(lease_end(tonumber(score)) - q.vt)))
  end
  if letter ~= 'F' and letter ~= 'f' and letter ~= 'w' then return '' end
  return write_side(0, 0, 0, lease_end(tonumber(score)) - q.vt)
end
