-- beat: a heartbeat in one bucket; KEYS[1] and KEYS[2] are both its watermark.
-- ARGV: seen, known. Answers {'F' or 'R', applied, seen, floor}.
local w, answer = watermark(), 'R'
if w and w.applied >= ARGV[2] then
  w.seen, answer = max(w.seen, ARGV[1]), 'F'
elseif w then
  w = { applied = ARGV[2], seen = max(w.seen, ARGV[1]), floor = ARGV[2] }
else
  local start = max(ARGV[1], ARGV[2])
  w = { applied = start, seen = ARGV[1], floor = start }
end
put_watermark(w)
return { answer, w.applied, w.seen, w.floor }
