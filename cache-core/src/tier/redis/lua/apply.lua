-- apply: an invalidation. ARGV: position or '' for the next local one, keep in ms,
-- and what the caller has heard of the bucket: applied, seen.
-- Answers {'D', position, floor, the bucket's new floor or ''} | {'N'} (no watermark)
-- | {'X'} (ticks exhausted) | {'O'} (of an older epoch).
local w, p, r, applied, seen = watermark(), ARGV[1], head(), ARGV[3], ARGV[4]
if (p == '' or p == ZERO) and not w then return { 'N' } end
local heard = max(applied, seen)
if w then heard = max(heard, w.applied) end
if p ~= '' and p ~= ZERO and tonumber(epoch(p), 16) < tonumber(epoch(heard), 16) then return { 'O' } end
local lost = w and has_lost(w, applied, seen)
if lost then w = raised(w, applied, seen) end
if p == '' then
  local base = max(w.applied, w.seen)
  if r then base = max(base, r.at) end
  p = next_tick(base)
  if not p then return { 'X' } end
end
if w then
  w.applied = max(w.applied, p)
else
  w = raised({ applied = p, seen = ZERO }, applied, seen)
end
put_watermark(w)
local told = ''
if lost then told = w.floor end
if r and r.value and not less(r.at, p) then return { 'D', p, r.at, told } end
local floor = w.applied
if r then floor = max(p, r.at) end
if r and r.value then floor = p end
if r and r.token and not less(r.granted, p) then
  put_mark(floor, ARGV[2], r.token, r.granted, r.deadline)
else
  put_mark(floor, ARGV[2])
end
return { 'D', p, floor, told }
