-- Sliding window counter: the state of scripts/sliding_window.lua, as long as the windows begin at whole
-- microseconds. The numbers are the microseconds since the start of the window, and the units in it and in
-- the previous one.
--
-- Arguments: period in microseconds, quota, cost.
do
  -- Returns whether a * b < c * d, exactly, for whole numbers below 2^52.
  local function product_less(a, b, c, d)
    local x, y = a * b, c * d
    -- Each product is off by 2^-53 of itself at most.
    if math.abs(x - y) > (x + y) * 2 ^ -51 then return x < y end
    local function limbs(a, b)
      local a0, a1, b0, b1 = a % 2 ^ 26, floor(a / 2 ^ 26), b % 2 ^ 26, floor(b / 2 ^ 26)
      local low = a0 * b0
      local middle = a0 * b1 + floor(low / 2 ^ 26)
      local other = a1 * b0 + middle % 2 ^ 26
      return a1 * b1 + floor(middle / 2 ^ 26) + floor(other / 2 ^ 26),
        (other % 2 ^ 26) * 2 ^ 26 + low % 2 ^ 26
    end
    local high_x, low_x = limbs(a, b)
    local high_y, low_y = limbs(c, d)
    return high_x < high_y or (high_x == high_y and low_x < low_y)
  end

  local function load(key, i)
    local state = redis.pcall('GET', key)
    if not state then return 0, 0, 0, false end
    if type(state) ~= 'string' then return nil end
    local start, cur, prev = match(state, '^(%d+):0:(%d+):(%d+)$')
    if not start then return nil end
    local period, elapsed, clamped = ARGV[i + 1] + 0, now - start, false
    cur, prev = tonumber(cur), tonumber(prev)
    if elapsed < 0 then
      -- A start in the future: the clock was set back. Count the window as opened now.
      elapsed, clamped = 0, true
    elseif elapsed >= 2 * period then
      return 0, 0, 0, false
    elseif elapsed >= period then
      elapsed, cur, prev = elapsed - period, 0, cur
    end
    if cur > LARGEST or prev > LARGEST then return nil end
    if cur == 0 and prev == 0 then return 0, 0, 0, false end
    return elapsed, cur, prev, clamped
  end

  local function take(a, b, c, i, n)
    local period, quota, cost = ARGV[i + 1] + 0, ARGV[i + 2] + 0, ARGV[i + 3] + 0
    local taken, calls = 0, 1
    while calls * 2 <= n do calls = calls * 2 end
    -- As many calls as fit, from the most.
    while calls >= 1 do
      local total = b + (taken + calls) * cost
      -- With the elapsed time e and room = quota - total, the calls are admitted if
      -- floor(prev * (period - e) / period) <= room, which is prev * (period - e) < (room + 1) * period.
      if
        taken + calls <= n
        and total <= quota
        and product_less(c, period - a, quota - total + 1, period)
      then
        taken = taken + calls
      end
      calls = calls / 2
    end
    return a, b + taken * cost, taken
  end

  local function store(key, a, b, c, i)
    local period = ARGV[i + 1] + 0
    local left = (b == 0 and period or 2 * period) + 3 - a
    keep(key, format('%.0f:0:%.0f:%.0f', now - a, b, c), left)
  end

  algo.sliding_window = { load, take, store }
end
