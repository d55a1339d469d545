-- The start of the scripts that take units by numbers that a Lua number holds exactly. lean.rs sends
-- them limits with such numbers only; the other scripts know pairs of numbers and all operations.
--
-- ARGV[1] is the time of a user's clock in microseconds, or empty. ARGV[2] is the index of the first
-- argument after those of the limits, each of which begins with the name of its algorithm. A caller
-- refers to its limit by the index of this name.
--
-- Each algorithm has three functions, whose `i` is such an index:
--   load(key, i)           returns three numbers, which are the state of a key at this time, and whether
--                          it had an instant in the future; nothing if the state is not for these scripts
--   take(a, b, c, i, n)    returns the first two numbers of the state after n equal calls, and how many of
--                          them were admitted; once one is denied, the others are as well
--   store(key, a, b, c, i) stores the state together with its TTL
--
-- The reply is the time, and for each key its state before, or -1 if nothing was done about the key.
local match, format = string.match, string.format
local floor, min, max = math.floor, math.min, math.max
local LARGEST = 2 ^ 51

local virtual = ARGV[1] ~= ''
local now
if virtual then
  now = ARGV[1] + 0
else
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local reply = { now }
local algo = {}

-- Stores a state for this many microseconds. A user's clock may run slower than the server's, so its
-- states are kept for an hour longer.
local function keep(key, state, micros)
  local ms = floor(micros / 1000) + 1
  if virtual then ms = ms + 3600000 end
  redis.call('SET', key, state, 'PX', format('%.0f', ms))
end
