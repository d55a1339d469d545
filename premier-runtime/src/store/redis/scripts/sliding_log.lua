-- Sliding log.
--
-- State: a list of "instant:sum:units", oldest first. The sum counts all units up to and including
-- the entry, so the units in the log follow from its first and last entries.
-- Arguments: period in microseconds (rounded up), quota, cost.
-- Reply: allowed, used units, and retry_after and reset_after in microseconds.
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
  -- Returns the index of the first entry in [low, high) for which `is` holds, or `high`. Binary
  -- search: `is` must hold for all entries after it.
  local function first_that(low, high, is)
    while low < high do
      local middle = math.floor((low + high) / 2)
      if is(entry(middle)) then high = middle else low = middle + 1 end
    end
    return low
  end

  local length = redis.call('LLEN', key)
  local last, sum, units = entry(-1)
  local writes = op ~= 'peek'
  -- After the clock was set back, entries in the future count as taken now.
  if last and last > now then
    any_clamped = true
    if writes then
      local future = first_that(0, length, function(t) return t > now end)
      for index = future, length - 1 do
        local _, s, u = entry(index)
        redis.call('LSET', key, index, text(now, s, u))
      end
      last = now
      redis.call('PEXPIRE', key, ttl(0, period))
    end
  end

  -- Skip entries that have left the window, and remove them if the operation writes.
  local first = first_that(0, length, function(t) return now - t < period end)
  if writes and first > 0 then
    redis.call('LTRIM', key, first, -1)
    first, length = 0, length - first
  end
  local t, s, u = entry(first)
  local used = t and sum - s + u or 0

  if op == 'release' and last == since then op = 'refund' end
  local allowed = true
  local retry = 0
  if op == 'refund' then
    local left = cost
    while left > 0 and used > 0 do
      local given = math.min(left, units)
      left, used = left - given, used - given
      if given == units then
        redis.call('RPOP', key)
      else
        redis.call('LSET', key, -1, text(last, sum - given, units - given))
      end
      last, sum, units = entry(-1)
    end
  elseif op ~= 'release' and op ~= 'clamp' then
    allowed = cost == 0 or used + cost <= quota
    if not allowed then
      -- The call is admitted once the entries up to this sum have left the window.
      local gone = s - u + used + cost - quota
      local index = first_that(first, length - 1, function(_, s) return s >= gone end)
      retry = period - math.max(0, now - entry(index))
    elseif op == 'take' and cost > 0 then
      if used > 0 and last == now then
        redis.call('LSET', key, -1, text(now, sum + cost, units + cost))
      else
        redis.call('RPUSH', key, text(now, (used > 0 and sum or 0) + cost, cost))
      end
      redis.call('PEXPIRE', key, ttl(0, period))
    end
  end
  local reset = 0
  if used > 0 then reset = period - math.max(0, now - last) end
  reply[#reply + 1] = allowed and '1' or '0'
  reply[#reply + 1] = string.format('%.0f', used)
  reply[#reply + 1] = string.format('%.0f', retry)
  reply[#reply + 1] = string.format('%.0f', reset)
  return allowed, 3
end
