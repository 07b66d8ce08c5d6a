-- write: a committed value over its writer's quarantine, or an invalidation. ARGV: token,
-- ttl in ms, keep in ms, envelope, and what the caller has heard of the bucket: applied,
-- seen. Answers {'S' (stored) or 'I' (invalidated), position, the bucket's new floor or ''}
-- | {'N'} (no watermark) | {'X'} (ticks exhausted).
local w, r = watermark(), head()
if not w then return { 'N' } end
local lost, told = has_lost(w, ARGV[5], ARGV[6]), ''
if lost then w = raised(w, ARGV[5], ARGV[6]) end
local held = r and r.token == ARGV[1] and r.deadline >= now_ms() and not less(r.at, w.floor)
local base
if held then
  base = r.granted
else
  base = max(w.applied, w.seen)
  if r then base = max(base, r.at) end
end
local p = next_tick(base)
if not p then return { 'X' } end
if lost then told = w.floor end
w.applied = max(w.applied, p)
put_watermark(w)
if held then
  redis.call('SET', KEYS[1], 'V' .. p .. ARGV[4], 'PX', ARGV[2])
  return { 'S', p, told }
end
put_mark(p, ARGV[3])
return { 'I', p, told }
