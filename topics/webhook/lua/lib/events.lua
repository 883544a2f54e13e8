-- What befalls a webhook, and is to be told: `e0` to `e7` of the head, by the remainder of their numbers.
--- @include "lib/hook"
-- Milliseconds: how long until somebody tells again what befell a webhook, where whoever was at it may have died.
local TOLD = 30000
-- Of what befell a webhook so many wait to be told; of more the oldest are forgotten.
local UNTOLD = 8
-- Milliseconds without a success after which it is told that the endpoint fails, and for how long.
local WARNINGS = { 3600000, 86400000, 259200000 }

-- Notes that something befell the webhook, to be told: what, for how long at least it has failed, or 0, and why.
local function befall(q, what, failing, why)
  set(q, 'en', q.en + 1)
  set(q, 'eo', math.max(q.eo, q.en - UNTOLD))
  redis.call('HSET', HEAD, 'e' .. num(q.en % UNTOLD), table.concat({ what, num(q.time), num(q.fs), num(q.cf), num(failing), why }, ' '))
end

-- Has the endpoint get nothing more, until it is enabled.
local function disable(q, why)
  redis.call('HSET', HEAD, 'dr', why)
  set(q, 'dz', q.time)
  set(q, 'et', math.max(q.et, 1))
  befall(q, 'disabled', 0, why)
end

-- Notes for how long the endpoint has failed by now, once for each of WARNINGS.
local function warn(q, why)
  local level = 0
  for i, failing in ipairs(WARNINGS) do
    if q.time - q.fs >= failing then level = i end
  end
  if level == 0 or q.et > level then return end
  set(q, 'et', level + 1)
  befall(q, 'failing', WARNINGS[level], why)
end
