-- How subscriptions lie in a topic's keys.
-- A name leads to versions of its settings, a line each, the oldest first: the sequence number behind which it holds, a
-- blank, and JSON. So a change holds for what is published after it, however far the carrying is behind.
-- A uid leads to its progress: "cursor,base,delivered,filtered,dropped,failed,paused|trouble". All up to the sequence
-- number `cursor` is done with; `base` messages had been published before the subscription was made, so the counts say how
-- many are still to come; `paused` is when it was paused in milliseconds, or 0; trouble is text of package topics.

local function read_progress(uid)
  local cursor, base, delivered, filtered, dropped, failed, paused, trouble =
    string.match(redis.call('HGET', PROGRESS, uid) or '', '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+)|(.*)$')
  if not cursor then return nil end
  return { cursor = tonumber(cursor), base = tonumber(base), delivered = tonumber(delivered), filtered = tonumber(filtered),
    dropped = tonumber(dropped), failed = tonumber(failed), paused = tonumber(paused), trouble = trouble }
end

local function write_progress(uid, p)
  redis.call('HSET', PROGRESS, uid, string.format('%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f|', p.cursor, p.base, p.delivered, p.filtered,
    p.dropped, p.failed, p.paused) .. p.trouble)
end

-- Notes that what a dead-letter queue remembers of a subscription, under two sources, is still to be forgotten.
local function note_letters(uid, queue)
  if queue == '' then return end
  redis.call('HSET', SUBSCRIPTIONS, '~' .. uid .. '.dead', queue, '~' .. uid .. '.sent', queue)
end
