-- Fixed window: the state of scripts/fixed_window.lua. The numbers are the microseconds since the start of
-- the window, and its units.
--
-- Arguments: period in microseconds, quota, cost.
do
  local function load(key, i)
    local state = redis.pcall('GET', key)
    if not state then return 0, 0, 0, false end
    if type(state) ~= 'string' then return nil end
    local start, used = match(state, '^(%d+):(%d+)$')
    if not start then return nil end
    local elapsed
    elapsed, used = now - start, tonumber(used)
    if used > LARGEST then return nil end
    -- A start in the future: the clock was set back. Count the window as opened now.
    if elapsed < 0 then return 0, used, 0, true end
    if elapsed >= ARGV[i + 1] + 0 then return 0, 0, 0, false end
    return elapsed, used, 0, false
  end

  local function take(a, b, _, i, n)
    local cost = ARGV[i + 3] + 0
    local taken = max(min(n, floor((ARGV[i + 2] - b) / cost)), 0)
    return a, b + taken * cost, taken
  end

  local function store(key, a, b, _, i)
    keep(key, format('%.0f:%.0f', now - a, b), ARGV[i + 1] - a)
  end

  algo.fixed_window = { load, take, store }
end
