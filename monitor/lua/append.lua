-- Adds a sample to a series.
-- KEYS[1] HASH the series: number of a span of ten seconds since 1970 to the sample taken in it, its values separated by ","; "p" what of it is packed; "n" how often that was changed
-- KEYS[2] HASH head of the queue
-- ARGV[3] number of the span
-- ARGV[4] the values
-- Returns: how many samples there are beside what is packed, about; 0 when the queue is gone, and nothing is added
-- Flags: none
-- Again: it stores the same once more.
local version = redis.call('HGET', KEYS[2], 'v')
if not version or version == 'x' then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
return redis.call('HLEN', KEYS[1])
