-- Fixed window.
--
-- State: "start:used", with the start in microseconds.
-- Arguments: period in microseconds, quota, cost. The period is rounded up, which does not change
-- decisions, because the clock only shows whole microseconds.
-- Reply: allowed, microseconds since the start, used units.
algo.fixed_window = function(key, op, i)
  local period = tonumber(ARGV[i])
  local qh, ql = parse(ARGV[i + 1])
  local ch, cl = parse(ARGV[i + 2])
  local start, uh, ul = now, 0, 0
  local clamped = false
  local state = redis.call('GET', key)
  if state then
    local s, u = string.match(state, '^(%d+):(%d+)$')
    if not s then unreadable(key) end
    start = tonumber(s)
    -- A start in the future: the clock was set back. Count the window as opened now.
    if start > now then start, clamped = now, true end
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
      store(key, string.format('%.0f:', start) .. to_text(h, l), 0, start + period - now)
    end
  end
  any_clamped = any_clamped or clamped
  -- Give units back only to the window they were taken from, not to a later one.
  if op == 'release' and start <= since then op = 'refund' end
  local allowed = true
  if op == 'refund' then
    if less(ch, cl, uh, ul) then uh, ul = sub(uh, ul, ch, cl) else uh, ul = 0, 0 end
    if state then write(uh, ul) end
  elseif op == 'clamp' then
    if clamped then write(uh, ul) end
  elseif op ~= 'release' then
    local th, tl = add(uh, ul, ch, cl)
    allowed = (ch == 0 and cl == 0) or not less(qh, ql, th, tl)
    if op == 'take' then
      if allowed and (ch > 0 or cl > 0) then
        write(th, tl)
      elseif clamped then
        write(uh, ul)
      end
    end
  end
  reply[#reply + 1] = allowed and '1' or '0'
  reply[#reply + 1] = string.format('%.0f', now - start)
  reply[#reply + 1] = to_text(uh, ul)
  return allowed, 3
end
