-- Writes the record of a reserved tenant. It drains nothing, but its room was granted when the name was reserved, and
-- without it a half-made tenant could not be deleted while memory is short.
-- KEYS[1] HASH the tenant's record
-- ARGV[3] id
-- ARGV[4] name
-- ARGV[5] account
-- ARGV[6] etag
-- ARGV[7] milliseconds since 1970: when the name was reserved
-- ARGV[8] labels, JSON
-- ARGV[9] the rest of the settings, JSON
-- Returns: the record
-- Flags: allow-oom
-- Again: a record that is there stays as it is.
--- @include "lib/record"
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'id', ARGV[3], 'name', ARGV[4], 'account', ARGV[5], 'state', 'active',
    'labels', ARGV[8], 'more', ARGV[9], 'created', ARGV[7], 'updated', ARGV[7], 'etag', ARGV[6])
end
return read_record(KEYS[1])
