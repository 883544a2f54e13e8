-- Settles what a server has let its tenants do, and gives it shares of what they may do next. It counts servers too.
-- KEYS[1] HASH "<tenant id>/<limit>" to a token bucket that all servers share: "<tokens> <time> <servers>", with the
-- time in milliseconds since 1970, and of each server that had a share "<session>=<time>,"
-- KEYS[2] HASH session number to the time of its last beat in milliseconds; field "next" is none
-- ARGV[3] session of the caller
-- ARGV[4] milliseconds since its last beat for which a session counts
-- ARGV[5+] per bucket five, at most 100 times: field; tokens a second, which is also how many it holds; tokens that were
-- spent without a share, below 0 for those that come back; tokens that are wanted, 0 for a server that is done with the
-- bucket; tokens of shares that are not spent
-- Returns: how many servers live; per bucket the share, or "-" when there is nothing more to do for one who is done, what
-- is left, and among how many servers
-- Flags: allow-oom
-- Again: what was spent is counted twice, which costs a tenant a fifth of a second of its rate at most.
--- @include "lib/clock"
local _, _, now = read_clock(0)
local alive, beats = 0, redis.call('HGETALL', KEYS[2])
for i = 1, #beats, 2 do
  if beats[i] ~= 'next' and now - tonumber(beats[i + 1]) <= tonumber(ARGV[4]) then alive = alive + 1 end
end
local answer = { string.format('%.0f', alive) }
for i = 0, #ARGV - 5, 5 do
  local field, rate, spent = ARGV[5 + i], tonumber(ARGV[6 + i]), tonumber(ARGV[7 + i])
  local want, held = tonumber(ARGV[8 + i]), tonumber(ARGV[9 + i])
  local bucket = redis.call('HGET', KEYS[1], field)
  -- A bucket that nobody knows was full, and other servers may give away their parts of it.
  local tokens, time, list = rate / math.max(alive, 1), now, ''
  if bucket then
    local a, b, c = string.match(bucket, '^(%S+) (%d+) (%S*)$')
    tokens, time, list = tonumber(a), tonumber(b), c
  end
  local servers, others = {}, 0
  for session, at in string.gmatch(list, '(%d+)=(%d+),') do
    if session ~= ARGV[3] and now - tonumber(at) <= 2000 then
      servers[#servers + 1] = session .. '=' .. at .. ','
      others = others + 1
    end
  end
  -- Shares that nobody has spent are part of what the bucket holds; each server is taken to have as much as this one. One
  -- token there may always be, or parts of one would lie on each server and be of no use. A debt is remembered for ten
  -- seconds.
  tokens = math.min(math.max(rate - held * (others + 1), 1), tokens + math.max(now - time, 0) * rate / 1000 - spent)
  tokens = math.max(tokens, -10 * rate)
  local share = '0'
  if want > 0 then
    servers[#servers + 1] = ARGV[3] .. '=' .. string.format('%.0f', now) .. ','
    local given = math.max(math.min(want, tokens / (others + 1)), 0)
    tokens = tokens - given
    share = string.format('%.4f', given)
  elseif others > 0 or tokens >= rate then
    share = '-'
  end
  if share == '-' and others == 0 then
    redis.call('HDEL', KEYS[1], field)
  else
    redis.call('HSET', KEYS[1], field, string.format('%.4f %.0f ', tokens, now) .. table.concat(servers))
  end
  answer[#answer + 1] = share
  answer[#answer + 1] = string.format('%.4f', tokens)
  answer[#answer + 1] = string.format('%.0f', others + 1)
end
return answer
