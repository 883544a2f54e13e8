-- What scripts that take something from members share: a tenant keeps an owner who can sign in.

-- Reports whether a record is that of an owner who has a password.
local function is_owner(text)
  if not text or text == '' then return false end
  local r = cjson.decode(text)
  return type(r.member) == 'table' and (r.member.password or '') ~= '' and type(r.scopes) == 'table' and r.scopes[1] == 'owner'
end

-- Reports whether a tenant has such an owner besides the one with this digest. It looks at its members until it finds one: at
-- most 1000, which put_member sees to.
local function other_owner(records, index, tenant, digest)
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', index, '[' .. tenant .. '/', '(' .. tenant .. '0')) do
    local other = string.sub(entry, -64)
    if other ~= digest and is_owner(redis.call('HGET', records, other)) then return true end
  end
  return false
end
