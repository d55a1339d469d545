-- Fixed window.
--
-- State: "start:used", with the start in microseconds. A window that follows one that owed units begins where
-- that one has ended, which need not be at a whole microsecond: "start:nanos:used", followed by what
-- windows.lua says.
-- Arguments: period in microseconds and remaining nanoseconds, quota, cost; of a charge also the most units
-- that count.
-- Reply: allowed, microseconds and nanoseconds since the start, used units, debt, and how many units of it a
-- window pays off.
algo.fixed_window = function(key, op, i)
  local pu, pn = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local qh, ql = parse(ARGV[i + 2])
  local ch, cl = parse(ARGV[i + 3])
  local eu, en, uh, ul, oh, ol, rate = 0, 0, 0, 0, 0, 0, ARGV[i + 2]
  local clamped = false
  local state = redis.call('GET', key)
  if state then
    local s, n, u, o, q = string.match(state, '^(%d+):(%d+):(%d+)|(%d+)|(%d+)$')
    if s then
      oh, ol = parse(o)
      rate = q
    else
      s, u = string.match(state, '^(%d+):(%d+)$')
      if not s then unreadable(key) end
      n = 0
    end
    uh, ul = parse(u)
    eu, en = time_minus(now, 0, tonumber(s), tonumber(n))
    -- A start in the future: the clock was set back. Count the window as opened now.
    if eu < 0 then eu, en, clamped = 0, 0, true end
    if time_reached(eu, en, pu, pn) then
      if oh > 0 or ol > 0 then
        local _
        eu, en, uh, ul, _, _, oh, ol = move_on(eu, en, pu, pn, uh, ul, oh, ol, parse(rate))
      else
        uh, ul = 0, 0
      end
      if uh == 0 and ul == 0 then eu, en = 0, 0 end
    end
  end
  local function write()
    local su, sn = time_minus(now, 0, eu, en)
    if uh == 0 and ul == 0 then
      redis.call('DEL', key)
    elseif oh > 0 or ol > 0 or sn > 0 then
      local text = string.format('%.0f:%.0f:', su, sn) .. to_text(uh, ul)
      store_owing(key, text, pu, oh, ol, rate)
    else
      store(key, string.format('%.0f:', su) .. to_text(uh, ul), 0, pu + (pn > 0 and 1 or 0) - eu)
    end
  end
  any_clamped = any_clamped or clamped
  -- Give units back only to the window they were taken from, not to a later one.
  if op == 'release' and time_reached(since, 0, time_minus(now, 0, eu, en)) then op = 'refund' end
  local allowed = true
  if op == 'refund' then
    uh, ul = at_least_0(uh, ul, ch, cl)
    oh, ol = at_least_0(oh, ol, ch, cl)
    if state then write() end
  elseif op == 'charge' then
    uh, ul, oh, ol = charge(uh, ul, oh, ol, ch, cl, qh, ql, i + 4)
    rate = ARGV[i + 2]
    write()
  elseif op == 'clamp' then
    if clamped then write() end
  end
  local first = #reply + 1
  reply[first] = '1'
  reply[#reply + 1] = string.format('%.0f', eu)
  reply[#reply + 1] = string.format('%.0f', en)
  reply[#reply + 1] = to_text(uh, ul)
  reply[#reply + 1] = to_text(oh, ol)
  reply[#reply + 1] = rate
  if op == 'take' or op == 'peek' then
    local th, tl = add(uh, ul, ch, cl)
    allowed = (ch == 0 and cl == 0) or not less(qh, ql, th, tl)
    if op == 'take' then
      if allowed and (ch > 0 or cl > 0) then
        uh, ul = th, tl
        write()
      elseif clamped then
        write()
      end
    end
  end
  if not allowed then reply[first] = '0' end
  return allowed, op == 'charge' and 5 or 4
end
