-- beat: a heartbeat in one bucket; KEYS[1] and KEYS[2] are both its watermark.
-- ARGV: seen, what the caller has heard of the bucket (applied, seen), '1' if it doubts.
-- Answers {'F' or 'R', applied, seen, floor}.
local w, answer = watermark(), 'F'
if not w then
  w, answer = raised({ applied = ZERO, seen = ARGV[1] }, ARGV[2], ARGV[1]), 'R'
elseif ARGV[4] == '1' or has_lost(w, ARGV[2], ARGV[3]) then
  w, answer = raised(w, ARGV[2], ARGV[3]), 'R'
end
w.seen = max(w.seen, ARGV[1])
put_watermark(w)
return { answer, w.applied, w.seen, w.floor }
