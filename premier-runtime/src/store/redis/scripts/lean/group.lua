-- Calls that several limits decide as one: all admit and all take, or nothing is taken. For each call: the
-- number of its limits, and for each of these the number of the key and the index of the limit.
local cells, next = {}, ARGV[2] + 0
while ARGV[next] do
  local last = next + 2 * ARGV[next]
  local all = true
  for p = next + 1, last, 2 do
    local k, i = ARGV[p] + 0, ARGV[p + 1] + 0
    local functions = algo[ARGV[i]]
    local cell = cells[k]
    if not cell then
      local a, b, c, changed = functions[1](KEYS[k], i)
      cell = { a, b, c, changed, i, functions }
      cells[k] = cell
      reply[3 * k - 1], reply[3 * k], reply[3 * k + 1] = a or -1, b or 0, c or 0
    end
    if cell[1] then
      local taken
      cell[7], cell[8], taken = functions[2](cell[1], cell[2], cell[3], i, 1)
      all = all and taken > 0
    else
      all = false
    end
  end
  if all then
    for p = next + 1, last, 2 do
      local cell = cells[ARGV[p] + 0]
      cell[1], cell[2], cell[4] = cell[7], cell[8], true
    end
  end
  next = last + 1
end
for k = 1, #KEYS do
  local cell = cells[k]
  if cell[1] and cell[4] then cell[6][3](KEYS[k], cell[1], cell[2], cell[3], cell[5]) end
end
return reply
