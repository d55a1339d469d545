-- Fixed window. The state is "start:used". Arguments: period in microseconds, rounded up (at whole
-- microseconds that closes at the same instant), quota, cost.
algo.fixed_window = function(key, op, i)
  local period = tonumber(ARGV[i])
  local qh, ql = parse(ARGV[i + 1])
  local ch, cl = parse(ARGV[i + 2])
  local start, uh, ul = now, 0, 0
  local settled = false
  local state = redis.call('GET', key)
  if state then
    local s, u = string.match(state, '^(%d+):(%d+)$')
    if not s then unreadable(key) end
    start = tonumber(s)
    -- A window of the future: the clock was set back.
    if start > now then start, settled = now, true end
    if now - start >= period then
      start = now
    else
      uh, ul = parse(u)
    end
  end
  local function write(h, l)
    if h == 0 and l == 0 then
      redis.call('DEL', key)
    else
      store(key, string.format('%.0f:', start) .. show(h, l), 0, start + period - now)
    end
  end
  unsettled = unsettled or settled
  -- Units of a window that has closed are nobody's any more.
  if op == 'release' and start <= since then op = 'refund' end
  local allowed = true
  if op == 'refund' then
    if less(ch, cl, uh, ul) then uh, ul = sub(uh, ul, ch, cl) else uh, ul = 0, 0 end
    if state then write(uh, ul) end
  elseif op == 'settle' then
    if settled then write(uh, ul) end
  elseif op ~= 'release' then
    local th, tl = add(uh, ul, ch, cl)
    allowed = (ch == 0 and cl == 0) or not less(qh, ql, th, tl)
    if op == 'take' then
      if allowed and (ch > 0 or cl > 0) then
        write(th, tl)
      elseif settled then
        write(uh, ul)
      end
    end
  end
  out[#out + 1] = allowed and '1' or '0'
  out[#out + 1] = string.format('%.0f', now - start)
  out[#out + 1] = show(uh, ul)
  return allowed, 3
end
