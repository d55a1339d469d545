-- What fixed and sliding windows have in common: times as microseconds and nanoseconds, and units that are
-- owed.
--
-- A charge counts in the open window whether or not there is room. What lies above the quota is debt, and
-- opens the windows that follow as already used, each as far as the quota. "|" and the debt, "|" and how many
-- units a window pays off follow the state then.

-- Returns a time minus another one.
local function time_minus(au, an, bu, bn)
  if an < bn then return au - bu - 1, an + 1000 - bn end
  return au - bu, an - bn
end

local function time_reached(au, an, bu, bn)
  return au > bu or (au == bu and an >= bn)
end

local function at_least_0(ah, al, bh, bl)
  if less(ah, al, bh, bl) then return 0, 0 end
  return sub(ah, al, bh, bl)
end

-- Moves a window on that owes units, by at least one. eu, en is the time since its start, pu, pn the period.
-- Returns the time since the start of the window that is open now, the units in it, in the one before, and
-- the debt.
local function move_on(eu, en, pu, pn, uh, ul, oh, ol, qh, ql)
  -- Divides by doubling: how many windows have passed, times what each pays off.
  local steps = { { pu, pn, qh, ql } }
  while true do
    local u, n, h, l = unpack(steps[#steps])
    u, n = 2 * u, 2 * n
    if n >= 1000 then u, n = u + 1, n - 1000 end
    if not time_reached(eu, en, u, n) then break end
    h, l = add(h, l, h, l)
    steps[#steps + 1] = { u, n, h, l }
  end
  local ph, pl = 0, 0
  for j = #steps, 1, -1 do
    local u, n, h, l = unpack(steps[j])
    if time_reached(eu, en, u, n) then
      eu, en = time_minus(eu, en, u, n)
      ph, pl = add(ph, pl, h, l)
    end
  end
  local bh, bl = sub(ph, pl, qh, ql)
  local ch, cl = at_least_0(oh, ol, bh, bl)
  local vh, vl
  if bh == 0 and bl == 0 then
    vh, vl = sub(uh, ul, oh, ol)
  else
    bh, bl = sub(bh, bl, qh, ql)
    vh, vl = at_least_0(oh, ol, bh, bl)
    if less(qh, ql, vh, vl) then vh, vl = qh, ql end
  end
  oh, ol = at_least_0(oh, ol, ph, pl)
  return eu, en, ch, cl, vh, vl, oh, ol
end

-- Charges units: as many as there may be at most in argument j. Returns the units in the window and the debt.
local function charge(uh, ul, oh, ol, ch, cl, qh, ql, j)
  local mh, ml = parse(ARGV[j])
  mh, ml = at_least_0(mh, ml, uh, ul)
  if less(mh, ml, ch, cl) then ch, cl = mh, ml end
  local rh, rl = at_least_0(qh, ql, uh, ul)
  rh, rl = at_least_0(ch, cl, rh, rl)
  uh, ul = add(uh, ul, ch, cl)
  oh, ol = add(oh, ol, rh, rl)
  return uh, ul, oh, ol
end

-- Stores a window that owes units, for at least as long as they count: this is not exact.
local function store_owing(key, text, pu, oh, ol, rate)
  local h, l = parse(rate)
  local windows = math.floor((oh * BASE + ol) / (h * BASE + l)) + 3
  store(key, text .. '|' .. to_text(oh, ol) .. '|' .. rate, 0, windows * (pu + 1))
end
