-- Adds what a server has counted of a tenant to the usage of an hour and of its day.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH name of a writer to the number of its last statement and when that was, in milliseconds since 1970
-- KEYS[3] ZSET periods by their start in seconds since 1970
-- KEYS[4] HASH field to the amounts of the hour: numbers with commas between
-- KEYS[5] HASH the same of the day
-- KEYS[6] HASH id of a key to its requests in the hour
-- ARGV[3] name of the writer
-- ARGV[4] number of this statement, more than that of the last one
-- ARGV[5] the hour, as it stands in KEYS[3]
-- ARGV[6] its start
-- ARGV[7] the day
-- ARGV[8] its start
-- ARGV[9] how many fields there may be: what goes beyond is added to the one of its kind that ends in /~
-- ARGV[10] milliseconds for which a writer is remembered
-- ARGV[11] how many keys there may be in KEYS[6]: others are not counted there
-- ARGV[12] milliseconds for which KEYS[6] is kept from now on
-- ARGV[13+] field and amounts, in turn, at most 101 times; the first field is "", which holds the sum of all; "k/" and the id of a key goes to KEYS[6]
-- Returns: "ok"; "fresh" when it is the first of its hour; or "gone" when there is no such tenant. Behind the first two the
-- sums of the hour
-- Flags: none
-- Again: the number was seen, and nothing is added.
--- @include "lib/clock"
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return 'gone' end
local last = string.match(redis.call('HGET', KEYS[2], ARGV[3]) or '0 0', '^(%d+)')
if tonumber(last) >= tonumber(ARGV[4]) then return { 'ok', redis.call('HGET', KEYS[4], '') } end

local calls = {}
local function is_key(field) return string.sub(field, 1, 2) == 'k/' end

local function numbers(text)
  local list = {}
  for n in string.gmatch(text, '[^,]+') do list[#list + 1] = tonumber(n) end
  return list
end

-- Returns fields and sums, in turn, to be written to a HASH.
local function sums(key)
  local known, order, all = {}, {}, {}
  local room = tonumber(ARGV[9]) - redis.call('HLEN', key)
  for _, field in ipairs({ '', 'q/~', 't/~' }) do room = room + redis.call('HEXISTS', key, field) end
  for i = 13, #ARGV, 2 do
    local field = ARGV[i]
    if not is_key(field) then
      local have = redis.call('HGET', key, field)
      if not have and field ~= '' then
        if room > 0 then
          room = room - 1
        else
          field = string.sub(field, 1, 2) .. '~'
          have = redis.call('HGET', key, field)
        end
      end
      if not known[field] then
        known[field] = numbers(have or '')
        order[#order + 1] = field
      end
      for at, n in ipairs(numbers(ARGV[i + 1])) do known[field][at] = (known[field][at] or 0) + n end
    end
  end
  for _, field in ipairs(order) do
    local text = {}
    for at, n in ipairs(known[field]) do text[at] = string.format('%.0f', n) end
    all[#all + 1] = field
    all[#all + 1] = table.concat(text, ',')
  end
  return all
end

local hour, day = sums(KEYS[4]), sums(KEYS[5])
local callers = tonumber(ARGV[11]) - redis.call('HLEN', KEYS[6])
for i = 13, #ARGV, 2 do
  if is_key(ARGV[i]) then
    local id = string.sub(ARGV[i], 3)
    local known = redis.call('HEXISTS', KEYS[6], id) == 1
    if not known then callers = callers - 1 end
    if known or callers >= 0 then calls[#calls + 1] = { id, string.match(ARGV[i + 1], '^%d+') } end
  end
end
local now = read_clock(0)
local old, writers = {}, redis.call('HGETALL', KEYS[2])
for i = 1, #writers, 2 do
  local at = string.match(writers[i + 1], ' (%d+)$')
  if tonumber(at) < now - tonumber(ARGV[10]) then old[#old + 1] = writers[i] end
end
if #old > 0 then redis.call('HDEL', KEYS[2], unpack(old)) end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4] .. ' ' .. string.format('%.0f', now))
redis.call('HSET', KEYS[4], unpack(hour))
redis.call('HSET', KEYS[5], unpack(day))
for _, c in ipairs(calls) do redis.call('HINCRBY', KEYS[6], c[1], c[2]) end
if #calls > 0 then redis.call('PEXPIRE', KEYS[6], ARGV[12]) end
redis.call('ZADD', KEYS[3], ARGV[8], ARGV[7])
local fresh = redis.call('ZADD', KEYS[3], ARGV[6], ARGV[5]) == 1
return { fresh and 'fresh' or 'ok', redis.call('HGET', KEYS[4], '') }
