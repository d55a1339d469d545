algo[ARGV[3]](KEYS[1], ARGV[1], 4)
return out
