-- write: a committed value over its writer's quarantine, or an invalidation. ARGV: token,
-- the commit's position or '', ttl in ms, keep in ms, envelope, and what the caller has
-- heard of the bucket: applied, seen. Answers {'S' (stored) or 'I' (invalidated), position,
-- the bucket's new floor or ''} | {'N'} (no watermark) | {'X'} (ticks exhausted).
local w, r = watermark(), head()
if not w then return { 'N' } end
local lost, told = has_lost(w, ARGV[6], ARGV[7]), ''
if lost then w = raised(w, ARGV[6], ARGV[7]) end
local as_of
if r and not r.value and r.token == ARGV[1] and r.deadline >= now_ms() and not less(r.at, w.floor) then
  if ARGV[2] == '' then
    as_of = next_tick(r.granted)
  elseif less(r.granted, ARGV[2]) and string.sub(ARGV[2], 25, 32) == '00000000' and not made_up(ARGV[2], w) then
    as_of = ARGV[2]
  end
end
if not as_of then
  local base = max(w.applied, w.seen)
  if r then base = max(base, r.at) end
  local p = next_tick(base)
  if not p then return { 'X' } end
  w.applied = max(w.applied, p)
  if lost then told = w.floor end
  put_watermark(w)
  put_mark(p, ARGV[4])
  return { 'I', p, told }
end
if ARGV[2] == '' then w.applied = max(w.applied, as_of) end
if lost then told = w.floor end
put_watermark(w)
redis.call('SET', KEYS[1], 'V' .. as_of .. ARGV[5], 'PX', ARGV[3])
return { 'S', as_of, told }
