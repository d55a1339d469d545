-- Calls of sliding logs, one after the other: the number of the key, and the arguments of
-- algo.sliding_log. The reply is the time, and for each call what algo.sliding_log replies; of a call whose
-- state cannot be read, that it was not decided, which is five times empty.
for i = 3, #ARGV, 4 do
  local before = #reply
  if not pcall(algo.sliding_log, KEYS[ARGV[i] + 0], 'take', i + 1) then
    for n = before + 1, before + 5 do reply[n] = '' end
  end
end
return reply
