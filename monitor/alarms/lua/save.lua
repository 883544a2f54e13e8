-- Notes what became of alarms, each unless it has changed since the caller read it. It must run while memory is full: that is
-- when alarms are needed, and what it stores is bounded.
-- KEYS[1] HASH alarms, as in read.lua
-- KEYS[2] HASH marks, as in read.lua
-- KEYS[3] HASH log: uid of an alarm, "." and a place in its ring to a change of its state, JSON
-- ARGV[3+] six each, of at most 100 alarms: name; state that the caller read; state, which no other call writes; marks, or "" to leave them; field of the log, and what it gets, or "" for no change
-- Returns: for each "ok", or "changed" when another change came first
-- Flags: allow-oom
-- Again: what is stored already stays as it is.
local out = {}
for i = 3, #ARGV, 6 do
  local name, was, state, marks, field, change = unpack(ARGV, i, i + 5)
  local have = redis.call('HGET', KEYS[1], 's' .. name) or ''
  if have == state then
    out[#out + 1] = 'ok'
  elseif have ~= was then
    out[#out + 1] = 'changed'
  else
    redis.call('HSET', KEYS[1], 's' .. name, state)
    if marks ~= '' then redis.call('HSET', KEYS[2], name, marks) end
    if change ~= '' then redis.call('HSET', KEYS[3], field, change) end
    out[#out + 1] = 'ok'
  end
end
return out
