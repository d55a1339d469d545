-- The start of every script: the operation, the clock, and integers beyond 2^53.
--
-- ARGV[1] is the operation:
--   take     decide, and take the cost if admitted
--   peek     decide without changing the state
--   charge   take units whether or not they are admitted, as far as the key may owe them
--   refund   give units back
--   release  give units back that a dropped caller took, if the state still remembers them
--   reset    remove the state
--   clamp    correct a state with an instant in the future; sent by group.lua only
-- ARGV[2] is the time of a user's clock in microseconds, or empty. The arguments of the limits follow.
--
-- A Lua number is a double, which holds integers up to 2^53. Larger ones are pairs of numbers,
-- high * 1e15 + low. Sums, differences and comparisons suffice: script.rs computes all products.
local BASE = 1e15

local function parse(digits)
  local n = #digits
  if n <= 15 then return 0, tonumber(digits) end
  return tonumber(string.sub(digits, 1, n - 15)), tonumber(string.sub(digits, n - 14))
end

local function to_text(h, l)
  if h == 0 then return string.format('%.0f', l) end
  return string.format('%.0f%015.0f', h, l)
end

local function add(ah, al, bh, bl)
  local l = al + bl
  if l >= BASE then return ah + bh + 1, l - BASE end
  return ah + bh, l
end

local function sub(ah, al, bh, bl)
  local l = al - bl
  if l < 0 then return ah - bh - 1, l + BASE end
  return ah - bh, l
end

local function less(ah, al, bh, bl)
  return ah < bh or (ah == bh and al < bl)
end

-- The time in microseconds since the epoch, exact until the year 2255.
local virtual = ARGV[2] ~= ''
local now
if virtual then
  now = tonumber(ARGV[2])
else
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Returns the TTL in milliseconds for a state that must be kept for h * 1e15 + l microseconds. A
-- user's clock may run slower than the server's, so its states are kept for an hour longer.
local function ttl(h, l)
  local ms = math.min(math.floor((h * BASE + l) / 1000) + 1, 1e15)
  if virtual then ms = ms + 3600000 end
  return string.format('%.0f', ms)
end

-- Stores a state together with its TTL, so that no key can be left without one.
local function store(key, state, h, l)
  redis.call('SET', key, state, 'PX', ttl(h, l))
end

local reply = { string.format('%.0f', now) }
local algo = {}

-- Whether a state had an instant in the future, because the clock was set back or the limit changed.
-- The script decides by a corrected copy, which only 'take' and 'clamp' write.
local any_clamped = false

-- When the units that 'release' gives back were taken, in microseconds.
local since = 0
if ARGV[1] == 'release' then since = tonumber(ARGV[#ARGV]) end

if ARGV[1] == 'reset' then redis.call('UNLINK', unpack(KEYS)) end

local function unreadable(key)
  error('the value at ' .. key .. ' is not one of premier')
end
