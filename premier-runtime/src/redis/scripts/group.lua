-- Several limits as one: every one is asked first, and only if all admit does each take.
local function each(op)
  local all, i = true, 3
  for k = 1, #KEYS do
    local allowed, used = algo[ARGV[i]](KEYS[k], op, i + 1)
    all = all and allowed
    i = i + 1 + used
  end
  return all
end

if ARGV[1] ~= 'take' then
  each(ARGV[1])
elseif each('look') then
  out = { out[1] }
  each('take')
end
return out
