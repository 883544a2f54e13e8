-- Tells one server with waiting receives that there is something to look at. `q.w` lists the servers that have some,
-- as "session:until,…"; whoever is told either receives or passes it on (pass.lua), so one word is enough.
-- The word is the queue's uid, how many messages became available, and in how many milliseconds the next one does, or 0:
-- not when, for the clock of the server that is told may be another one.
-- ready: how many messages became available; due: when the next one does, or 0; except: a session that is not to be told,
-- because it says that it has no more use for messages.
local function wake(q, ready, due, except)
  if q.w == '' or (ready <= 0 and due <= 0) then return end
  local others = {}
  for session, till in string.gmatch(q.w, '(%d+):(%d+)') do
    if session ~= except and tonumber(till) > q.now then others[#others + 1] = session end
  end
  if #others == 0 then return end
  local chosen = others[q.now % #others + 1]
  redis.call('PUBLISH', 'sl:wake:' .. chosen, string.match(HEAD, '{(.-)}') .. ' ' .. num(ready) .. ' ' .. num(due > 0 and math.max(due - q.now, 1) or 0))
end
