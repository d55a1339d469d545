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
    -- Unless callers wait, the TAT is further ahead than a full debt only if the clock was set back or
    -- the limit changed.
    local full = ARGV[i + 4] + 0
    if ahead >= full and not (reserved and reserved < ahead) then
      local full_rest = ARGV[i + 5] + 0
      if ahead > full or rest > full_rest then return full, full_rest, 0, true end
    end
    return ahead, rest, 0, false
  end

  local function take(a, b, _, i)
    local den = ARGV[i + 1] + 0
    a, b = a + ARGV[i + 6], b + ARGV[i + 7]
    if b >= den then a, b = a + 1, b - den end
    local most = ARGV[i + 2] + 0
    if a < most or (a == most and b <= ARGV[i + 3] + 0) then return a, b end
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
