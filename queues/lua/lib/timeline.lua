-- Timelines: what became of each message of a queue whose owner asked for that, step by step. They are written where
-- lib/queue writes the head, by the script that takes the steps, so they say what happened and nothing else.
-- What is kept of a message is "count,left out,letter of the last step|" and the steps, each as its length, ":", letter,
-- time in milliseconds, ",", a number, ",", another time or 0, "|", who did it, a line feed and a text. Letters, with
-- number, other time and text, where they have any:
--   "s" sent (when available)                        "a" arrived from another queue (what package queues says of it)
--   "r" received (delivery, end of lease, consumer)  "e" lease extended (delivery, end)
--   "b" returned (delivery, when available, error)   "u" put back, for its consumer never got it (delivery)
--   "l" lease ended (delivery, when available)       "t" delay changed (when available)
--   "c" came back, for there was no queue where it was to go
-- and those after which the message is not in the queue any more:
--   "k" acknowledged (delivery)                      "d" dead-lettered ("x", "d" or "o" as in outbox.lua, and what the consumer said)
--   "f" forwarded (queue)                            "m" moved (new id, "1" when it was changed, queue)
--   "x" expired ("t" by itself or "r" by retention)  "o" dropped, for the queue was full
--   "D" deleted                                      "p" purged
-- A purge of the whole queue is a step of "!", as if that was one more message.
local LIVES, STEPS = KEYS[16], KEYS[17]
-- How many steps of a message are kept, and how many bytes of them; how many bytes of a text. What Redis spends on a timeline
-- beside the steps, in bytes, which count as they do.
local STEPS_KEPT, BYTES_KEPT, TEXT_KEPT, ENTRY = 100, 32768, 256, 200
local keep, room, crew = string.match(ARGV[3], '^%d+|(%d+),(%d+)|(.*)$')
keep, room = tonumber(keep), tonumber(room)
local who, steps, lives = {}, {}, {}
for count, line in string.gmatch(crew, '(%d+) ([^\n]*)\n') do
  for _ = 1, tonumber(count) do who[#who + 1] = line end
end

-- Notes a step of a message, to be written with the head. i: which item of the call it is, or nil for what nobody did;
-- at: when it was, if not now.
note = function(q, letter, id, i, number, other, text, at)
  if #(text or '') > TEXT_KEPT then text = string.sub(text, 1, TEXT_KEPT) end
  local step = letter .. num(at or q.time) .. ',' .. num(number or 0) .. ',' .. num(other or 0) .. '|' .. (i and who[i] or '') .. '\n' .. (text or '')
  if not steps[id] then
    steps[id] = {}
    lives[#lives + 1] = id
  end
  local list = steps[id]
  list[#list + 1] = #step .. ':' .. step
  list.last = letter
end

-- What is kept of a message after more steps. Of those that are too many the first one stays, and the oldest behind it go.
local function append(old, list)
  local count, left, text = 0, 0, ''
  if old then
    local bar = string.find(old, '|', 1, true)
    count, left = string.match(string.sub(old, 1, bar), '^(%d+),(%d+),')
    text = string.sub(old, bar + 1)
  end
  count, left, text = count + #list, tonumber(left), text .. table.concat(list)
  if count > STEPS_KEPT or #text > BYTES_KEPT then
    local function behind(at)
      local colon = string.find(text, ':', at, true)
      return colon + 1 + tonumber(string.sub(text, at, colon - 1))
    end
    local second = behind(1)
    local cut = second
    while count > 2 and (count > STEPS_KEPT or #text - (cut - second) > BYTES_KEPT) do
      cut, count, left = behind(cut), count - 1, left + 1
    end
    text = string.sub(text, 1, second - 1) .. string.sub(text, cut)
  end
  return num(count) .. ',' .. num(left) .. ',' .. list.last .. '|' .. text
end

-- Drops what is over, and the oldest where there is too much of it. What is over of a message that is still there stays.
-- The sentinel of `lives` says how many bytes they take, and until when steps were dropped for want of room.
local function prune(q, bytes, lost)
  local gone, stays = {}, {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', STEPS, '-inf', num(q.now - keep), 'LIMIT', 0, MOST)) do
    if redis.call('HEXISTS', BODY, id) == 1 then
      stays[#stays + 1] = num(q.time)
      stays[#stays + 1] = id
    else
      gone[#gone + 1] = id
      bytes = bytes - redis.call('HSTRLEN', LIVES, id) - ENTRY
    end
  end
  if #stays > 0 then redis.call('ZADD', STEPS, unpack(stays)) end
  if #gone > 0 then redis.call('ZREM', STEPS, unpack(gone)) end
  if bytes > room then
    -- A call adds steps of a few hundred messages at most, and takes as many away.
    local oldest = redis.call('ZRANGE', STEPS, 0, 5 * MOST - 1, 'WITHSCORES')
    local many = #gone
    for i = 1, #oldest, 2 do
      if bytes <= room or oldest[i] == '' then break end
      gone[#gone + 1] = oldest[i]
      bytes = bytes - redis.call('HSTRLEN', LIVES, oldest[i]) - ENTRY
      lost = tonumber(oldest[i + 1])
    end
    if #gone > many then redis.call('ZREM', STEPS, unpack(gone, many + 1)) end
  end
  if #gone > 0 then redis.call('HDEL', LIVES, unpack(gone)) end
  return bytes, lost
end

-- Writes what was noted, and drops what is over.
write_steps = function(q)
  local sentinel = redis.call('HGET', LIVES, '')
  if not sentinel then redis.call('ZADD', STEPS, '+inf', '') end
  local bytes, lost = string.match(sentinel or '0,0', '^(%d+),(%d+)$')
  bytes, lost = tonumber(bytes), tonumber(lost)
  if #lives > 0 then
    local old, fields, times = redis.call('HMGET', LIVES, unpack(lives)), {}, {}
    for i, id in ipairs(lives) do
      local kept = append(old[i], steps[id])
      bytes = bytes + #kept - (old[i] and #old[i] or -ENTRY)
      fields[2 * i - 1], fields[2 * i] = id, kept
      times[2 * i - 1], times[2 * i] = num(q.time), id
    end
    redis.call('HSET', LIVES, unpack(fields))
    redis.call('ZADD', STEPS, unpack(times))
  end
  bytes, lost = prune(q, bytes, lost)
  local now = num(bytes) .. ',' .. num(lost)
  if now ~= sentinel then redis.call('HSET', LIVES, '', now) end
end
