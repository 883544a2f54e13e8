-- The first 7 bytes of a record: its format, and the time sent.
local function stamp(now)
  local b = {}
  for i = 6, 1, -1 do
    b[i] = now % 256
    now = math.floor(now / 256)
  end
  return string.char(0, unpack(b))
end
