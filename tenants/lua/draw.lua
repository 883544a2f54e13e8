-- Gives a holder a larger grant, if the tenant may store so much.
-- ARGV[3] holder
-- ARGV[4] bytes: its grant, as it says
-- ARGV[5] number of that
-- ARGV[6] bytes that it has stored
-- ARGV[7] bytes that it wants to fill in all
-- ARGV[8] bytes that the tenant may store
-- ARGV[9] bytes that it gets at most beyond that, for what comes next
-- ARGV[10] "all" when it gets what it wants in any case, and nothing beyond; "some" when it gets what is left where that is less; or ""
-- Returns: "ok", its grant, number of that; "full", how many bytes all holders have stored, as far as known, and where it gets something the same two; or "gone" where there is no such tenant
-- Flags: allow-oom
-- Again: it has what it wants already.
--- @include "lib/stored"
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return { 'gone' } end
local holder, used, want = ARGV[3], tonumber(ARGV[6]), tonumber(ARGV[7])
local _, grant, number = hear(holder, tonumber(ARGV[4]), tonumber(ARGV[5]), used)
if grant >= want then return { 'ok', num(grant), num(number) } end
local sums = redis.call('HMGET', KEYS[2], 'sum', 'used')
local left = tonumber(ARGV[8]) - (tonumber(sums[1]) or 0)
local more, answer = 0, { 'ok' }
if want - grant > left and ARGV[10] ~= 'all' then
  answer = { 'full', sums[2] or '0' }
  if left <= 0 or ARGV[10] ~= 'some' then return answer end
  want = grant + left
elseif ARGV[10] ~= 'all' then
  more = math.min(tonumber(ARGV[9]), math.floor((left - want + grant) / 16))
end
write_grant(holder, want + more, number + 1, used)
answer[#answer + 1], answer[#answer + 2] = num(want + more), num(number + 1)
return answer
