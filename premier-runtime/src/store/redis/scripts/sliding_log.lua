-- Sliding log.
--
-- State: a list of "instant:sum:units", oldest first. The sum counts all units up to and including
-- the entry, so the units in the log follow from its first and last entries.
-- Arguments: period in microseconds (rounded up), quota, cost; of a charge also the most units that count.
-- Reply: allowed, used units, and retry_after, reset_after and more_after in microseconds.
algo.sliding_log = function(key, op, i)
  local period, quota, cost = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local function entry(index)
    local text = redis.call('LINDEX', key, index)
    if not text then return nil end
    local t, s, u = string.match(text, '^(%d+):(%d+):(%d+)$')
    if not t then unreadable(key) end
    return tonumber(t), tonumber(s), tonumber(u)
  end
  local function text(t, s, u) return string.format('%.0f:%.0f:%.0f', t, s, u) end
  -- Returns for how many entries in a row `is` holds, from the one at `index` towards the tail (step 1)
  -- or the head (step -1), and the entry after them. Looks at entries twice as far away each time and
  -- then between the last two, because LINDEX is slow only far from both ends.
  local function count(index, step, is)
    local low, high = 0, 0
    local t, s, u = entry(index)
    while t and is(t, s, u) do
      low, high = high + 1, 2 * high + 1
      t, s, u = entry(index + step * high)
    end
    while low < high do
      local middle = math.floor((low + high) / 2)
      local mt, ms, mu = entry(index + step * middle)
      if mt and is(mt, ms, mu) then
        low = middle + 1
      else
        high, t, s, u = middle, mt, ms, mu
      end
    end
    return low, t, s, u
  end

  local last, sum, units = entry(-1)
  local writes = op ~= 'peek'
  -- After the clock was set back, entries in the future count as taken now: as one entry.
  if last and last > now then
    any_clamped = true
    if writes then
      local future, _, before = count(-1, -1, function(t) return t > now end)
      if not before then
        local _, s, u = entry(0)
        before = s - u
      end
      redis.call('LTRIM', key, 0, -1 - future)
      last, units = now, sum - before
      redis.call('RPUSH', key, text(now, sum, units))
      redis.call('PEXPIRE', key, ttl(0, period))
    end
  end

  -- Skip entries that have left the window, and remove them if the operation writes.
  local first, t, s, u = count(0, 1, function(t) return now - t >= period end)
  if writes and first > 0 then
    redis.call('LTRIM', key, first, -1)
    first = 0
  end
  local used = t and sum - s + u or 0

  -- Returns when there is one unit more to take: once the oldest units above the quota, and one more, have
  -- left. t and s are those of the oldest entry, and sum that of the newest.
  local function more_after(t, s, sum)
    if used == 0 then return period end
    local gone = sum - math.min(used, quota) + 1
    if s < gone then
      local _, later = count(first, 1, function(_, s) return s < gone end)
      t = later
    end
    return period - math.max(0, now - t)
  end
  local more

  -- Adds units taken now.
  local function push(taken)
    if used > 0 and last == now then
      redis.call('LSET', key, -1, text(now, sum + taken, units + taken))
    else
      redis.call('RPUSH', key, text(now, (used > 0 and sum or 0) + taken, taken))
    end
    redis.call('PEXPIRE', key, ttl(0, period))
  end

  if op == 'release' and last == since then op = 'refund' end
  if op == 'take' or op == 'peek' then
    more = more_after(t, s, sum)
  elseif op == 'release' then
    -- Each newer entry is written anew, because it counts the units before it.
    local newer, t, s, u = count(-1, -1, function(t) return t > since end)
    if t == since and newer <= 128 then
      local given = math.min(cost, u)
      for index = -newer, -1 do
        local t, s, u = entry(index)
        redis.call('LSET', key, index, text(t, s - given, u))
      end
      redis.call('LSET', key, -1 - newer, given == u and '' or text(t, s - given, u - given))
      if given == u then redis.call('LREM', key, -1, '') end
      used = used - given
    end
  end
  local allowed = true
  local retry = 0
  if op == 'refund' then
    local given = math.min(cost, used)
    if given == used then
      if given > 0 then redis.call('DEL', key) end
    elseif given > 0 then
      -- The newest units go: whole entries, and those of the last entry that stays beyond the new sum.
      local left = sum - given
      local gone, t, s, u = count(-1, -1, function(_, s, u) return s - u >= left end)
      if gone > 0 then redis.call('LTRIM', key, 0, -1 - gone) end
      if s > left then redis.call('LSET', key, -1, text(t, left, u - (s - left))) end
      last = t
    end
    used = used - given
  elseif op == 'charge' then
    local charged = math.max(math.min(cost, tonumber(ARGV[i + 3]) - used), 0)
    if charged > 0 then
      push(charged)
      used, last = used + charged, now
    end
  elseif op ~= 'release' and op ~= 'clamp' then
    allowed = cost == 0 or used + cost <= quota
    if not allowed then
      -- The call is admitted once the entries up to this sum have left the window.
      local gone = sum + cost - quota
      if s < gone then
        local _, later = count(first, 1, function(_, s) return s < gone end)
        t = later
      end
      retry = period - math.max(0, now - t)
    elseif op == 'take' and cost > 0 then
      push(cost)
    end
  end
  if not more and used > 0 then
    local oldest, s = entry(first)
    local _, sum = entry(-1)
    more = more_after(oldest, s, sum)
  end
  local reset = 0
  if used > 0 then reset = period - math.max(0, now - last) end
  reply[#reply + 1] = allowed and '1' or '0'
  reply[#reply + 1] = string.format('%.0f', used)
  reply[#reply + 1] = string.format('%.0f', retry)
  reply[#reply + 1] = string.format('%.0f', reset)
  reply[#reply + 1] = string.format('%.0f', more or period)
  return allowed, op == 'charge' and 4 or 3
end
