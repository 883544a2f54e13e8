-- Sees to it that somebody carries a topic's messages to its subscriptions.
-- The head says who does so: `ow` is the session of a server, `ot` until when it may take itself for the only one, and `sl`
-- that it has found nothing to do and waits to be told. `ix` is the number of the topic's entry in the installation's
-- index of topics with something to do, and 0 for none; `gn` the last such number. The entry is made before its number is
-- written here, so whatever is published is found, also when the server dies that was told.

-- Whether the topic is in the index, or is now, because the caller has made the entry `gen`.
local function indexed(q, gen)
  if q.ix ~= 0 then return true end
  if gen ~= q.gn + 1 then return false end
  set(q, 'ix', gen)
  set(q, 'gn', gen)
  return true
end

-- Returns "1" when the caller's server, `session`, is to carry, and otherwise tells the one that does. A server that is new
-- to it may do so for `lease` milliseconds.
local function rouse(q, session, lease)
  if q.ow ~= session and q.ot > q.now then
    if q.sl ~= 0 then
      set(q, 'sl', 0)
      local tenant, uid = string.match(HEAD, '^sl:(.-):{(.-)}')
      redis.call('PUBLISH', 'sl:topic:' .. num(q.ow), tenant .. ' ' .. uid)
    end
    return '0'
  end
  if q.ow ~= session or q.ot <= q.now then
    set(q, 'ow', session)
    set(q, 'ot', q.now + lease)
  end
  if q.sl ~= 0 then set(q, 'sl', 0) end
  return '1'
end
