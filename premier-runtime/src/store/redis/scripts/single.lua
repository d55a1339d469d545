local op = ARGV[1]
algo[ARGV[3]](KEYS[1], op == 'reset' and 'look' or op, 4)
return out
