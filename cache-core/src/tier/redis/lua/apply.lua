-- apply: an invalidation. ARGV: position or '' for the next local one, keep in ms.
-- Answers {'D', position, floor} | {'N'} (no watermark) | {'X'} (ticks exhausted).
local w, p, r = watermark(), ARGV[1], head()
if p == '' or p == ZERO then
  if not w then return { 'N' } end
  if p == '' then
    local base = w.applied
    if r then base = max(base, r.at) end
    local tick = tonumber(string.sub(base, 25, 32), 16)
    if tick == 4294967295 then return { 'X' } end
    p = string.sub(base, 1, 24) .. string.format('%08x', tick + 1)
  end
end
if w then
  w.applied = max(w.applied, p)
else
  w = { applied = p, seen = ZERO, floor = p }
end
put_watermark(w)
if r and r.kind == 'V' and r.at >= p then return { 'D', p, r.at } end
local floor = w.applied
if r then floor = max(p, r.at) end
if r and r.kind == 'V' then floor = p end
if r and r.token and r.granted >= p then
  put_mark(floor, ARGV[2], r.token, r.granted, r.deadline)
else
  put_mark(floor, ARGV[2])
end
return { 'D', p, floor }
