-- quarantine: a writer is at work. ARGV: token, span in ms, keep in ms.
-- Answers {'Q'} | {'N'} (no watermark).
local w = watermark()
if not w then return { 'N' } end
local r, floor = head(), w.applied
if r then floor = r.at end
floor = max(floor, w.floor)
local granted = max(max(floor, w.applied), w.seen)
put_mark(floor, ARGV[3], ARGV[1], granted, now_ms() + tonumber(ARGV[2]))
return { 'Q' }
