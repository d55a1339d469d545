-- Whole numbers beyond 2^53, which a double cannot hold: high * 1e15 + low. Only sums, differences
-- and comparisons are needed; all products are taken by the caller.
local BASE = 1e15

local function parse(digits)
  local n = #digits
  if n <= 15 then return 0, tonumber(digits) end
  return tonumber(string.sub(digits, 1, n - 15)), tonumber(string.sub(digits, n - 14))
end

local function show(h, l)
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

-- Microseconds since the epoch, exact until the year 2255: the server's, unless the caller gives a
-- virtual time.
local virtual = ARGV[2] ~= ''
local now
if virtual then
  now = tonumber(ARGV[2])
else
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Stores a state for at least this many microseconds. State and TTL are one command, so that no
-- key is ever without one. A virtual time does not run at the server's pace.
local function ttl(h, l)
  local ms = math.min(math.floor((h * BASE + l) / 1000) + 1, 1e15)
  if virtual then ms = ms + 3600000 end
  return string.format('%.0f', ms)
end

local function store(key, state, h, l)
  redis.call('SET', key, state, 'PX', ttl(h, l))
end

local out = { string.format('%.0f', now) }
local algo = {}

-- Whether a limit was found with an instant of the future, which only a taking call mends.
local unsettled = false

-- When a caller that no longer wants its admission took what it gives back.
local since = 0
if ARGV[1] == 'release' then since = tonumber(ARGV[#ARGV]) end

if ARGV[1] == 'reset' then redis.call('UNLINK', unpack(KEYS)) end

local function unreadable(key)
  error('the value at ' .. key .. ' is not one of premier')
end
