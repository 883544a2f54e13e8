-- What a tenant may store, in bytes, is given out in grants: what a holder (a queue's shard, a topic) may fill without
-- asking. A grant lies here and with its holder, with the number of its last change, and the larger number is right. A larger
-- grant is written here first and then there, a smaller one there and then here; so whatever is lost in between, a holder
-- has no more than is here. A count takes from holders all that they may fill: then what they have stored is here.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH stored: holder (letter of its kind, "/", uid) to "grant,number,used"; "sum" and "used" of all; "limit" under which all were counted

local function num(n) return string.format('%.0f', n) end

-- Returns the grant of a holder, its number and what it had stored when it was heard of last, all 0 for one that is not known.
local function read_grant(holder)
  local grant, number, used = string.match(redis.call('HGET', KEYS[2], holder) or '0,0,0', '^(%d+),(%d+),(%d+)$')
  return tonumber(grant), tonumber(number), tonumber(used)
end

-- Writes what read_grant reads, and keeps the sums. Of one without a grant nothing is kept.
local function write_grant(holder, grant, number, used)
  local had, _, had_used = read_grant(holder)
  if grant == 0 then
    if redis.call('HDEL', KEYS[2], holder) == 0 then return end
    used = 0
  else
    redis.call('HSET', KEYS[2], holder, num(grant) .. ',' .. num(number) .. ',' .. num(used))
  end
  local sums = redis.call('HMGET', KEYS[2], 'sum', 'used')
  redis.call('HSET', KEYS[2], 'sum', num((tonumber(sums[1]) or 0) + grant - had), 'used', num((tonumber(sums[2]) or 0) + used - had_used))
end

-- Takes over what a holder says of itself, unless it has been given another grant since. Returns whether that is so, its
-- grant, which is never less than what it has stored, and the number.
local function hear(holder, said, said_number, used)
  local grant, number = read_grant(holder)
  if said_number < number then return false, grant, number end
  grant = math.max(said, used)
  write_grant(holder, grant, said_number, used)
  return true, grant, said_number
end
