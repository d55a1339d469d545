-- A single limit.
local op = ARGV[1]
algo[ARGV[3]](KEYS[1], op == 'reset' and 'peek' or op, 4)
return reply
