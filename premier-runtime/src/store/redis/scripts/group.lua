-- Several limits that decide as one: peeks at all of them, and takes from all only if all admit.
-- The arguments of each limit follow the name of its algorithm. The reply of a call that is not
-- admitted is that of the peek.
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
  each('peek')
elseif op ~= 'take' then
  each(op)
elseif each('peek') then
  reply = { reply[1] }
  each('take')
elseif any_clamped then
  -- The call takes nothing, so it must itself correct states with instants in the future. Otherwise
  -- they would never be corrected while calls are denied.
  local peeked = reply
  reply = {}
  each('clamp')
  return peeked
end
return reply
