-- Token bucket and leaky bucket: the state of scripts/tat.lua. The numbers are how far the TAT is ahead
-- of now, in microseconds and a remainder.
--
-- Arguments: the denominator of remainders, the allowance, the full debt, and the time to add for the
-- cost; each time is two arguments.
do
  local function load(key, i)
    local state = redis.pcall('GET', key)
    if not state then return 0, 0, 0, false end
    if type(state) ~= 'string' then return nil end
    local tat, rest, reserved = match(state, '^%d+$'), 0, false
    if not tat then
      local text, since, full = match(state, '^([%d:]+)|(%d+)|(%d+)$')
      if text then
        reserved = tonumber(since) <= now and tonumber(full)
        state = text
      end
      local whole, part, den = match(state, '^(%d+):(%d+):(%d+)$')
      if not whole then
        tat = match(state, '^%d+$')
      elseif den == ARGV[i + 1] then
        tat, rest = whole, tonumber(part)
      else
        -- The remainder belongs to another rate. Round up, so that a change gives no credit.
        tat = whole + 1
      end
      if not tat then return nil end
    end
    local ahead = tat - now
    if ahead > LARGEST then return nil end
    if ahead < 0 then return 0, 0, 0, false end
    -- Unless callers wait or were charged, the TAT is further ahead than a full debt only if the clock was
    -- set back or the limit changed. A full debt is stored without its remainder.
    local full = ARGV[i + 4] + 0
    if ahead >= full and not (reserved and reserved <= ahead) then
      local full_rest = ARGV[i + 5] + 0
      if ahead > full or rest > full_rest then return full, full_rest, 0, true end
    end
    return ahead, rest, 0, false
  end

  local function take(a, b, _, i, n)
    local most, most_rest = ARGV[i + 2] + 0, ARGV[i + 3] + 0
    local cost, cost_rest = ARGV[i + 6] + 0, ARGV[i + 7] + 0
    if b == 0 and cost_rest == 0 then
      local taken = max(min(n, floor((most - a) / cost)), 0)
      return a + taken * cost, 0, taken
    end
    local den = ARGV[i + 1] + 0
    -- The cost of 1, 2, 4, ... calls. Then as many calls as fit, from the most.
    local costs, rests, calls = { cost }, { cost_rest }, 1
    while calls * 2 <= n and costs[#costs] <= most do
      local x, y = costs[#costs] * 2, rests[#rests] * 2
      if y >= den then x, y = x + 1, y - den end
      costs[#costs + 1], rests[#rests + 1] = x, y
      calls = calls * 2
    end
    local taken = 0
    for k = #costs, 1, -1 do
      local x, y = a + costs[k], b + rests[k]
      if y >= den then x, y = x + 1, y - den end
      if taken + calls <= n and (x < most or (x == most and y <= most_rest)) then
        a, b, taken = x, y, taken + calls
      end
      calls = calls / 2
    end
    return a, b, taken
  end

  local function store(key, a, b, _, i)
    local text = format('%.0f', now + a)
    if b ~= 0 then text = text .. format(':%.0f:', b) .. ARGV[i + 1] end
    local full = ARGV[i + 4] + 0
    if a > full or (a == full and b > ARGV[i + 5] + 0) then
      text = text .. format('|%.0f|', now) .. ARGV[i + 4]
    end
    -- One microsecond more, for the remainder.
    keep(key, text, a + 1)
  end

  algo.tat = { load, take, store }
end
