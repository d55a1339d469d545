-- Token bucket and leaky bucket. The state is one instant, the theoretical arrival time:
-- microseconds and, where the emission interval is not a whole number of them, ":" a remainder ":"
-- its denominator.
--
-- Arguments: den, then as (microseconds, remainder) each: allowance, full debt, cost, asked, and
-- the end of a slot to release; then until when the state remembers units to release. Multiplying
-- by the interval is done by the caller.
algo.tat = function(key, op, i)
  local dh, dl = parse(ARGV[i])
  local free = ARGV[i + 5] == '0' and ARGV[i + 6] == '0'
  local state = redis.call('GET', key)
  local nh, nl = math.floor(now / BASE), now % BASE
  local wh, wl, rh, rl = nh, nl, 0, 0
  local stored = false
  if state then
    local w, r, d = string.match(state, '^(%d+):(%d+):(%d+)$')
    if not w and not string.match(state, '^%d+$') then unreadable(key) end
    local h, l = parse(w or state)
    local sh, sl = 0, 0
    if r then
      if d == ARGV[i] then
        sh, sl = parse(r)
      else
        -- Of another rate: rounded up, so that a change gives no credit.
        h, l = add(h, l, 0, 1)
      end
    end
    if not less(h, l, nh, nl) then
      wh, wl, rh, rl, stored = h, l, sh, sl, true
    end
  end
  wh, wl = sub(wh, wl, nh, nl)

  -- The sum of two lengths of time, with the remainder carried.
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
  local function exceeds(ah, al, bh, bl, j)
    local ch, cl = parse(ARGV[j])
    if less(ch, cl, ah, al) then return true end
    if ah ~= ch or al ~= cl then return false end
    local eh, el = parse(ARGV[j + 1])
    return less(eh, el, bh, bl)
  end
  local function write(ah, al, bh, bl)
    if ah < 0 or (ah == 0 and al == 0 and bh == 0 and bl == 0) then
      redis.call('DEL', key)
      return
    end
    local th, tl = add(ah, al, nh, nl)
    local text = show(th, tl)
    if bh ~= 0 or bl ~= 0 then text = text .. ':' .. show(bh, bl) .. ':' .. ARGV[i] end
    -- One microsecond more than the whole ones, for the remainder.
    ah, al = add(ah, al, 0, 1)
    store(key, text, ah, al)
  end
  -- The difference of two lengths of time; below zero when the first is shorter.
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

  -- Beyond a full debt only a clock that was set back, or another limit, can have put it.
  local settled = false
  if exceeds(wh, wl, rh, rl, i + 3) then
    wh, wl = parse(ARGV[i + 3])
    rh, rl = parse(ARGV[i + 4])
    settled = true
  end

  unsettled = unsettled or settled
  -- Without a slot it is units, and they count as long as the instant has not been passed by.
  if op == 'release' and ARGV[i + 9] == '0' and ARGV[i + 10] == '0'
    and now < tonumber(ARGV[i + 11]) then
    op = 'refund'
  end
  local allowed = true
  if op == 'settle' then
    if settled then write(wh, wl, rh, rl) end
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
      elseif settled then
        write(wh, wl, rh, rl)
      end
    end
  end
  out[#out + 1] = allowed and '1' or '0'
  out[#out + 1] = show(wh, wl)
  out[#out + 1] = show(rh, rl)
  return allowed, 12
end
