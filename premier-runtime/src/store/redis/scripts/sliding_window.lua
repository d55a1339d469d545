-- Sliding window counter.
--
-- State: "start:nanos:cur:prev", with the start in microseconds and nanoseconds. Each window starts
-- where the previous one ends, which need not be at a whole microsecond. What windows.lua says follows if the
-- key owes units.
-- Arguments: period in microseconds and remaining nanoseconds, quota, cost; of a charge also the most units
-- that count.
-- Reply: allowed, microseconds and nanoseconds since the start, units in the current and in the
-- previous window, debt, and how many units of it a window pays off.

-- Returns whether a * b < c * d, exactly, for numbers below 1e18.
local function product_less(ah, al, bh, bl, ch, cl, dh, dl)
  local function limbs(h, l)
    return l % 1e6, math.floor(l / 1e6) % 1e6, math.floor(l / 1e12) + h * 1e3
  end
  local function product(h, l, H, L)
    local a0, a1, a2 = limbs(h, l)
    local b0, b1, b2 = limbs(H, L)
    local r0 = a0 * b0
    local r1 = a0 * b1 + a1 * b0 + math.floor(r0 / 1e6)
    local r2 = a0 * b2 + a1 * b1 + a2 * b0 + math.floor(r1 / 1e6)
    local r3 = a1 * b2 + a2 * b1 + math.floor(r2 / 1e6)
    local r4 = a2 * b2 + math.floor(r3 / 1e6)
    return r4, (r3 % 1e6) * 1e6 + r2 % 1e6, (r1 % 1e6) * 1e6 + r0 % 1e6
  end
  local x2, x1, x0 = product(ah, al, bh, bl)
  local y2, y1, y0 = product(ch, cl, dh, dl)
  if x2 ~= y2 then return x2 < y2 end
  if x1 ~= y1 then return x1 < y1 end
  return x0 < y0
end

-- Converts microseconds and nanoseconds to nanoseconds as a pair.
local function nanos(us, ns)
  return math.floor(us / 1e12), (us % 1e12) * 1000 + ns
end

algo.sliding_window = function(key, op, i)
  local pu, pn = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local qh, ql = parse(ARGV[i + 2])
  local ch, cl = parse(ARGV[i + 3])
  local su, sn, uh, ul, vh, vl = now, 0, 0, 0, 0, 0
  local oh, ol, rate = 0, 0, ARGV[i + 2]
  local clamped = false
  local state = redis.call('GET', key)
  if state then
    local text, o, q = string.match(state, '^([%d:]+)|(%d+)|(%d+)$')
    if text then
      state, rate = text, q
      oh, ol = parse(o)
    end
    local s, n, u, v = string.match(state, '^(%d+):(%d+):(%d+):(%d+)$')
    if not s then unreadable(key) end
    su, sn = tonumber(s), tonumber(n)
    uh, ul = parse(u)
    vh, vl = parse(v)
  end
  local eu, en = time_minus(now, 0, su, sn)
  if eu < 0 then
    -- A start in the future: the clock was set back. Count the window as opened now.
    su, sn, eu, en, clamped = now, 0, 0, 0, true
  end
  local function reached(u, n) return time_reached(eu, en, u, n) end
  local du, dn = 2 * pu, 2 * pn
  if dn >= 1000 then du, dn = du + 1, dn - 1000 end
  if (oh > 0 or ol > 0) and reached(pu, pn) then
    eu, en, uh, ul, vh, vl, oh, ol = move_on(eu, en, pu, pn, uh, ul, oh, ol, parse(rate))
    su, sn = time_minus(now, 0, eu, en)
  elseif reached(du, dn) then
    su, sn, eu, en, uh, ul, vh, vl = now, 0, 0, 0, 0, 0, 0, 0
  elseif reached(pu, pn) then
    su, sn = su + pu, sn + pn
    if sn >= 1000 then su, sn = su + 1, sn - 1000 end
    eu, en = eu - pu, en - pn
    if en < 0 then eu, en = eu - 1, en + 1000 end
    vh, vl, uh, ul = uh, ul, 0, 0
  end
  if uh == 0 and ul == 0 and vh == 0 and vl == 0 then su, sn, eu, en = now, 0, 0, 0 end

  local function write(h, l)
    if h == 0 and l == 0 and vh == 0 and vl == 0 then
      redis.call('DEL', key)
      return
    end
    if oh > 0 or ol > 0 then
      local text = string.format('%.0f:%.0f:', su, sn) .. to_text(h, l) .. ':' .. to_text(vh, vl)
      store_owing(key, text, pu, oh, ol, rate)
      return
    end
    local left = ((h == 0 and l == 0) and pu or 2 * pu) + 3 - eu
    store(key, string.format('%.0f:%.0f:', su, sn) .. to_text(h, l) .. ':' .. to_text(vh, vl), 0, left)
  end

  any_clamped = any_clamped or clamped
  -- Give units back only to the window they were taken from: units of the previous window are
  -- weighted and no longer counted one by one.
  if op == 'release' and su <= since then op = 'refund' end
  local allowed = true
  if op == 'refund' then
    uh, ul = at_least_0(uh, ul, ch, cl)
    oh, ol = at_least_0(oh, ol, ch, cl)
    if state then write(uh, ul) end
  elseif op == 'charge' then
    uh, ul, oh, ol = charge(uh, ul, oh, ol, ch, cl, qh, ql, i + 4)
    rate = ARGV[i + 2]
    write(uh, ul)
  elseif op == 'clamp' then
    if clamped then write(uh, ul) end
  elseif op ~= 'release' then
    local th, tl = add(uh, ul, ch, cl)
    if ch > 0 or cl > 0 then
      if less(qh, ql, th, tl) then
        allowed = false
      else
        -- With the period d, the elapsed time e and room = quota - cur - cost, the call is admitted if
        -- floor(prev * (d - e) / d) <= room, which is prev * (d - e) < (room + 1) * d.
        local rh, rl = sub(qh, ql, th, tl)
        rh, rl = add(rh, rl, 0, 1)
        local lu, ln = pu - eu, pn - en
        if ln < 0 then lu, ln = lu - 1, ln + 1000 end
        local lh, ll = nanos(lu, ln)
        local ph, pl = nanos(pu, pn)
        allowed = product_less(vh, vl, lh, ll, rh, rl, ph, pl)
      end
    end
    if op == 'take' then
      if allowed and (ch > 0 or cl > 0) then
        write(th, tl)
      elseif clamped then
        write(uh, ul)
      end
    end
  end
  reply[#reply + 1] = allowed and '1' or '0'
  reply[#reply + 1] = string.format('%.0f', eu)
  reply[#reply + 1] = string.format('%.0f', en)
  reply[#reply + 1] = to_text(uh, ul)
  reply[#reply + 1] = to_text(vh, vl)
  reply[#reply + 1] = to_text(oh, ol)
  reply[#reply + 1] = rate
  return allowed, op == 'charge' and 5 or 4
end
