-- fill: offers a value. ARGV: token or '', as-of or '', ttl in ms, keep in ms, envelope.
-- Answers {'S', as_of} | {'F', floor} (superseded) | {'L'} (lease lost).
local w = watermark()
if not w then return { 'L' } end
local r, leased = head(), ARGV[1] ~= ''
local floor, granted = w.applied, w.applied
if leased then
  if not (r and r.token == ARGV[1] and r.deadline >= now_ms()) then return { 'L' } end
  floor, granted = r.at, r.granted
elseif r then
  floor, granted = r.at, max(w.applied, r.at)
end
floor = max(floor, w.floor)
local as_of, admitted = granted, not less(granted, floor)
if ARGV[2] ~= '' then
  as_of = ARGV[2]
  admitted = not less(as_of, floor) and string.sub(floor, 25, 32) == '00000000' and not made_up(as_of, w)
end
if not admitted then
  if leased and r.value and not less(r.at, w.floor) then
    relabel(r)
  elseif leased then
    put_mark(floor, ARGV[4])
  end
  return { 'F', floor }
end
redis.call('SET', KEYS[1], 'V' .. as_of .. ARGV[5], 'PX', ARGV[3])
return { 'S', as_of }
