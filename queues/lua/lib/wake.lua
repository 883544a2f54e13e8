-- Tells one server with waiting receives that there is something to look at. `q.w` lists the servers that have some,
-- as "session:until,…"; whoever is told either receives or passes it on (pass.lua), so one word is enough.
-- ready: how many messages became available; due: when the next one does, in milliseconds, or 0; except: a session that
-- is not to be told, because it says that it has no more use for messages.
local function wake(q, ready, due, except)
  if q.w == '' or (ready <= 0 and due <= 0) then return end
  local others = {}
  for session, till in string.gmatch(q.w, '(%d+):(%d+)') do
    if session ~= except and tonumber(till) > q.now then others[#others + 1] = session end
  end
  if #others == 0 then return end
  local chosen = others[q.now % #others + 1]
  redis.call('PUBLISH', 'sl:wake:' .. chosen, string.match(HEAD, '{(.-)}') .. ' ' .. num(ready) .. ' ' .. num(due))
end
