-- Forgets keys that were ended, or that never came to work.
-- KEYS[1] HASH key id to digest, or to "?" and digest
-- ARGV[3+] key ids, at most 100; one behind "?" is forgotten only if it is still not noted as working
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing, or a note that its maker made anew.
for i = 3, #ARGV do
  local id = string.match(ARGV[i], '^%?(.*)$')
  if not id then
    redis.call('HDEL', KEYS[1], ARGV[i])
  elseif string.sub(redis.call('HGET', KEYS[1], id) or '', 1, 1) == '?' then
    redis.call('HDEL', KEYS[1], id)
  end
end
return 'ok'
