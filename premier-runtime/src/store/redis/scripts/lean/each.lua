-- Keys of limits of one algorithm. For each key: how many groups of callers follow, and for each of these
-- the index of the limit and how many equal calls there are. They are decided in this order.
local load, take, store = unpack(algo[ARGV[3]])
local next = ARGV[2] + 0
for k = 1, #KEYS do
  local key, groups, i = KEYS[k], ARGV[next] + 0, ARGV[next + 1] + 0
  next = next + 1
  local a, b, c, changed = load(key, i)
  local n = 3 * k - 1
  if a then
    reply[n], reply[n + 1], reply[n + 2] = a, b, c
    for _ = 1, groups do
      i = ARGV[next] + 0
      local taken
      a, b, taken = take(a, b, c, i, ARGV[next + 1] + 0)
      changed = changed or taken > 0
      next = next + 2
    end
    if changed then store(key, a, b, c, i) end
  else
    reply[n], reply[n + 1], reply[n + 2] = -1, 0, 0
    next = next + 2 * groups
  end
end
return reply
