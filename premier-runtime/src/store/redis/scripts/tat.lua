-- Token bucket and leaky bucket, by the Generic Cell Rate Algorithm (GCRA) of ITU-T I.371.
--
-- State: the theoretical arrival time (TAT) in microseconds. If the emission interval is not a whole
-- number of microseconds, ":" remainder ":" denominator follow. If callers wait or were charged, so that the
-- debt is more than a full one, "|" and the time at which this was stored, "|" and that full debt in microseconds follow.
--
-- Arguments, where a time is a pair of microseconds and a remainder:
--   i        the denominator of all remainders
--   i + 1    the allowance: how far the TAT of an admitted call may be ahead, or that after a charge
--   i + 3    the full debt: how far the TAT can be ahead at most unless callers wait or were charged
--   i + 5    the time to add to, or take from, the TAT for the cost
--   i + 7    the time to add for the decision
--   i + 9    the end of the slot to release, or 0
--   i + 11   until when the state remembers the units to release, in whole microseconds
-- Reply: allowed, and how far the TAT is ahead of now, in microseconds and a remainder.
algo.tat = function(key, op, i)
  local dh, dl = parse(ARGV[i])
  local free = ARGV[i + 5] == '0' and ARGV[i + 6] == '0'
  local state = redis.call('GET', key)
  local nh, nl = math.floor(now / BASE), now % BASE
  local wh, wl, rh, rl = nh, nl, 0, 0
  local stored, reserved = false, false
  if state then
    local tat, since, full = string.match(state, '^([%d:]+)|(%d+)|(%d+)$')
    if tat then
      -- A time later than now shows that the clock was set back.
      state, reserved = tat, tonumber(since) <= now and full
    end
    local w, r, d = string.match(state, '^(%d+):(%d+):(%d+)$')
    if not w and not string.match(state, '^%d+$') then unreadable(key) end
    local h, l = parse(w or state)
    local sh, sl = 0, 0
    if r then
      if d == ARGV[i] then
        sh, sl = parse(r)
      else
        -- The remainder belongs to another rate. Round up, so that a change gives no credit.
        h, l = add(h, l, 0, 1)
      end
    end
    if not less(h, l, nh, nl) then
      wh, wl, rh, rl, stored = h, l, sh, sl, true
    end
  end
  wh, wl = sub(wh, wl, nh, nl)
  if reserved then
    -- Once all who waited have been admitted, a full debt is left at most. It is stored without its remainder.
    local fh, fl = parse(reserved)
    reserved = not less(wh, wl, fh, fl)
  end

  -- Returns the sum of a time and the time in argument j.
  local function plus(ah, al, bh, bl, j)
    local ch, cl = parse(ARGV[j])
    local eh, el = parse(ARGV[j + 1])
    ah, al = add(ah, al, ch, cl)
    bh, bl = add(bh, bl, eh, el)
    if not less(bh, bl, dh, dl) then
      bh, bl = sub(bh, bl, dh, dl)
      ah, al = add(ah, al, 0, 1)
    end
    return ah, al, bh, bl
  end
  -- Returns whether a time is longer than the time in argument j.
  local function exceeds(ah, al, bh, bl, j)
    local ch, cl = parse(ARGV[j])
    if less(ch, cl, ah, al) then return true end
    if ah ~= ch or al ~= cl then return false end
    local eh, el = parse(ARGV[j + 1])
    return less(eh, el, bh, bl)
  end
  -- Stores the TAT that is this far ahead of now, or removes the state if it is not ahead.
  local function write(ah, al, bh, bl)
    if ah < 0 or (ah == 0 and al == 0 and bh == 0 and bl == 0) then
      redis.call('DEL', key)
      return
    end
    local th, tl = add(ah, al, nh, nl)
    local text = to_text(th, tl)
    if bh ~= 0 or bl ~= 0 then text = text .. ':' .. to_text(bh, bl) .. ':' .. ARGV[i] end
    if exceeds(ah, al, bh, bl, i + 3) then text = text .. '|' .. reply[1] .. '|' .. ARGV[i + 3] end
    -- One microsecond more, for the remainder.
    ah, al = add(ah, al, 0, 1)
    store(key, text, ah, al)
  end
  -- Returns a time minus the time in argument j. The microseconds are negative if it is shorter.
  local function minus(ah, al, bh, bl, j)
    local ch, cl = parse(ARGV[j])
    local eh, el = parse(ARGV[j + 1])
    if less(bh, bl, eh, el) then
      bh, bl = add(bh, bl, dh, dl)
      ch, cl = add(ch, cl, 0, 1)
    end
    bh, bl = sub(bh, bl, eh, el)
    ah, al = sub(ah, al, ch, cl)
    return ah, al, bh, bl
  end

  -- Unless callers wait or were charged, the TAT is further ahead than a full debt only if the clock was set back or the
  -- limit changed.
  local clamped = false
  if not reserved and exceeds(wh, wl, rh, rl, i + 3) then
    wh, wl = parse(ARGV[i + 3])
    rh, rl = parse(ARGV[i + 4])
    clamped = true
  end

  any_clamped = any_clamped or clamped
  -- A release without a slot gives units of a token bucket back, as long as the state remembers them.
  if op == 'release' and ARGV[i + 9] == '0' and ARGV[i + 10] == '0'
    and now < tonumber(ARGV[i + 11]) then
    op = 'refund'
  end
  local allowed = true
  if op == 'clamp' then
    if clamped then write(wh, wl, rh, rl) end
  elseif op == 'charge' then
    local ah, al, bh, bl = plus(wh, wl, rh, rl, i + 5)
    if exceeds(ah, al, bh, bl, i + 1) then
      -- As far as the bound, unless the TAT lies beyond it already.
      if not exceeds(wh, wl, rh, rl, i + 1) then
        wh, wl = parse(ARGV[i + 1])
        rh, rl = parse(ARGV[i + 2])
      end
    else
      wh, wl, rh, rl = ah, al, bh, bl
    end
    write(wh, wl, rh, rl)
  elseif op == 'refund' or op == 'release' then
    local ends = true
    if op == 'release' then
      local eh, el = parse(ARGV[i + 9])
      local th, tl = add(wh, wl, nh, nl)
      local fh, fl = parse(ARGV[i + 10])
      ends = th == eh and tl == el and rh == fh and rl == fl
    end
    if stored and ends then
      wh, wl, rh, rl = minus(wh, wl, rh, rl, i + 5)
      write(wh, wl, rh, rl)
      if wh < 0 then wh, wl, rh, rl = 0, 0, 0, 0 end
    end
  else
    local ah, al, bh, bl = plus(wh, wl, rh, rl, i + 7)
    allowed = free or not exceeds(ah, al, bh, bl, i + 1)
    if op == 'take' then
      if allowed and not free then
        write(plus(wh, wl, rh, rl, i + 5))
      elseif clamped then
        write(wh, wl, rh, rl)
      end
    end
  end
  reply[#reply + 1] = allowed and '1' or '0'
  reply[#reply + 1] = to_text(wh, wl)
  reply[#reply + 1] = to_text(rh, rl)
  return allowed, 12
end
