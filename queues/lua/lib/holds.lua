--- @include "lib/groups"
-- Whether a consumer still holds a message, by its member and the number of the delivery: only then does it speak for the
-- message's group.
local function holds(q, member, delivery)
  local score = tonumber(redis.call('ZSCORE', FLIGHT, member) or 0)
  if score % FENCE ~= delivery % FENCE or lease_end(score) <= q.now then return false end
  return read_side(redis.call('HGET', SIDE, id_of(member))) + 1 == delivery
end
