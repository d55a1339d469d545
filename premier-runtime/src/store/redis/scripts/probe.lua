-- A probe: decides about a key that belongs to no limit, and removes it.
algo[ARGV[3]](KEYS[1], 'take', 4)
redis.call('UNLINK', KEYS[1])
return reply
