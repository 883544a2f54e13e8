-- What a record begins with: its format, the time sent and, of a message that belongs to a group (format 1), its group
-- and its place.
local function stamp(time, place)
  local b = {}
  for i = 6, 1, -1 do
    b[i] = time % 256
    time = math.floor(time / 256)
  end
  return string.char(place and 1 or 0, unpack(b)) .. (place or '')
end
