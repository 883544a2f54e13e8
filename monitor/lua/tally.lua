-- Notes the newest samples of the queues of a tenant, or of the tenants of the installation, and adds up what all have. A
-- sample that is older than the one that is there is left out.
-- KEYS[1] HASH the board: name to "uid span values", and "" to the values of all together; behind the values of the newest sample the span, sent and received of the one before it
-- KEYS[2] HASH series of what all have together, as in append
-- KEYS[3] HASH the record of the tenant, which is there while its state is active; of the installation the ids of tenants that are there
-- ARGV[3] number of the span of ten seconds since 1970
-- ARGV[4] "1" for the board of the installation
-- ARGV[5+] three each: name, uid, and the values separated by ",", or "" for one that is gone
-- Returns: the values of all together, and how many samples their series has beside what is packed, about
-- Flags: none
-- Again: a sample that is there already changes the sums by nothing.
local BOARD, SERIES = KEYS[1], KEYS[2]
-- The first ones of the values are of an instant, the others count since the thing was made. The fourth, an instant
-- itself, has no sum.
local GAUGES, INSTANT = 5, 4
local SENT, RECEIVED = 6, 7

local function numbers(text)
  local list = {}
  for n in string.gmatch(text, '-?%d+') do list[#list + 1] = tonumber(n) end
  return list
end
local function texts(list)
  local out = {}
  for i, n in ipairs(list) do out[i] = string.format('%.0f', n) end
  return table.concat(out, ',')
end

local sums = numbers(redis.call('HGET', BOARD, '') or '')
local function add(values, sign, from, to)
  for i = from, to do
    if i ~= INSTANT then sums[i] = (sums[i] or 0) + sign * values[i] else sums[i] = 0 end
  end
end

if ARGV[4] ~= '1' and redis.call('HGET', KEYS[3], 'state') ~= 'active' then return { '', '0' } end
for i = 5, #ARGV, 3 do
  local name, uid, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if ARGV[4] == '1' and redis.call('HEXISTS', KEYS[3], uid) == 0 then text = '' end
  local old_uid, old_span, old_text, before = string.match(redis.call('HGET', BOARD, name) or '', '^(%S+) (%d+) (%S+) (%S+)$')
  local old = numbers(old_text or '')
  if text == '' then
    if old_uid == uid then
      add(old, -1, 1, GAUGES)
      redis.call('HDEL', BOARD, name)
    end
  elseif not (old_uid == uid and tonumber(old_span) > tonumber(ARGV[3])) then
    local new = numbers(text)
    if old_uid then add(old, -1, 1, GAUGES) end
    if old_uid == uid then
      add(old, -1, GAUGES + 1, #old)
      if old_span ~= ARGV[3] then before = table.concat({ old_span, texts({ old[SENT], old[RECEIVED] }) }, ',') end
    else
      before = '0,0,0'
    end
    add(new, 1, 1, #new)
    redis.call('HSET', BOARD, name, table.concat({ uid, ARGV[3], text, before }, ' '))
  end
end
if #sums == 0 then return { '', '0' } end
local all = texts(sums)
redis.call('HSET', BOARD, '', all)
redis.call('HSET', SERIES, ARGV[3], all)
return { all, string.format('%.0f', redis.call('HLEN', SERIES)) }
