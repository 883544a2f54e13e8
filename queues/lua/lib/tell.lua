-- Tells all servers with waiting receives, by the list of a queue's head, of which each lets one look; see lib/wake.
local function tell_all(head, list)
  for session in string.gmatch(list or '', '(%d+):') do
    redis.call('PUBLISH', 'sl:wake:' .. session, string.match(head, '{(.-)}') .. ' 1 0')
  end
end
