-- What decides over a task that has not ended. Each such task has one line in the HASH `running`, and no other has:
-- "fence save till session cancel alone".
--   fence    grows by one with each claim; whoever comes with another one has lost the task
--   save     number of the last save under any claim, so that one that is sent twice counts once
--   till     milliseconds: until when nobody else may claim it; the end of a lease, or of a pause
--   session  server that has the lease, or 0
--   cancel   1 when somebody asked for its end
--   alone    what no two unfinished tasks of the tenant may share, or "": it may hold spaces
local function num(n) return string.format('%.0f', n) end

local function read_control(line)
  if not line then return nil end
  local fence, save, till, session, cancel, alone = string.match(line, '^(%d+) (%d+) (%d+) (%d+) (%d) (.*)$')
  return {
    fence = tonumber(fence), save = tonumber(save), till = tonumber(till), session = session, cancel = cancel, alone = alone,
  }
end

local function write_control(c)
  return table.concat({ num(c.fence), num(c.save), num(c.till), c.session, c.cancel, c.alone }, ' ')
end
