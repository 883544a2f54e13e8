-- Adds a sample to a series.
-- KEYS[1] HASH the series: number of a span of ten seconds since 1970 to the sample taken in it, its values separated by ","; "p" what of it is packed; "n" how often that was changed
-- ARGV[3] number of the span
-- ARGV[4] the values
-- Returns: how many samples there are beside what is packed, about
-- Flags: none
-- Again: it stores the same once more.
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
return redis.call('HLEN', KEYS[1])
