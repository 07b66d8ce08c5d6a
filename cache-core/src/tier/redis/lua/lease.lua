-- lease: the right to load. ARGV: token, span in ms, refused as-of or '', keep in ms.
-- Answers {'G', granted, floor} | {'B', remaining ms} | {'P'} | {'N'}.
local w = watermark()
if not w then return { 'N' } end
local r, now, floor = head(), now_ms(), w.applied
if r and r.kind == 'V' then
  if not less(r.at, w.floor) and (ARGV[3] == '' or less(ARGV[3], r.at)) then return { 'P' } end
  floor = min(r.at, w.applied)
elseif r then
  if r.token and r.deadline >= now then return { 'B', r.deadline - now } end
  floor = r.at
end
floor = max(floor, w.floor)
local granted = max(w.applied, floor)
put_mark(floor, ARGV[4], ARGV[1], granted, now + tonumber(ARGV[2]))
return { 'G', granted, floor }
