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

local op = ARGV[1]
if op == 'reset' then
  each('look')
elseif op ~= 'take' then
  each(op)
elseif each('look') then
  out = { out[1] }
  each('take')
elseif unsettled then
  -- Nobody takes, so nobody would ever mend what a clock that was set back has left.
  local found = out
  out = {}
  each('settle')
  return found
end
return out
