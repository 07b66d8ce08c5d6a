-- lease: the right to load. ARGV: token, span in ms, the as-of of a value that was refused
-- or '', of one that had expired or '', keep in ms.
-- Answers {'G', granted, floor} | {'B', remaining ms} | {'P'} | {'N'}.
local w = watermark()
if not w then return { 'N' } end
local r, now, floor = head(), now_ms(), w.applied
local deadline = now + tonumber(ARGV[2])
local function upto(as_of) return as_of ~= '' and not less(as_of, r.at) end
if r and r.value and less(r.at, w.floor) then
  floor = min(r.at, w.applied)
elseif r then
  local refused, expired = upto(ARGV[3]), upto(ARGV[4])
  if r.value and not refused and not expired then return { 'P' } end
  if r.token and r.deadline >= now then return { 'B', r.deadline - now } end
  floor = r.at
  if r.value and refused then floor = min(r.at, w.applied) end
  if r.value and not refused then
    local granted = max(w.applied, floor)
    relabel(r, ARGV[1], granted, deadline)
    return { 'G', granted, floor }
  end
end
floor = max(floor, w.floor)
local granted = max(w.applied, floor)
put_mark(floor, ARGV[5], ARGV[1], granted, deadline)
return { 'G', granted, floor }
