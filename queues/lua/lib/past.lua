--- @include "lib/index"
-- What is known of a message's earlier deliveries, as a side record. Of a first lease without one its end tells when it
-- began. letter is that of peek.lua; score that of the index.
local function past(q, letter, id, score)
  local record = redis.call('HGET', SIDE, id)
  if record then return record end
  if letter ~= 'F' and letter ~= 'f' and letter ~= 'w' then return '' end
  return write_side(0, 0, 0, lease_end(tonumber(score)) - q.vt)
end
