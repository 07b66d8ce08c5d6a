-- touch: another envelope around the value that is there. ARGV: its as-of, its envelope,
-- ttl in ms, the new envelope. Answers {'T'} | {'C'} (it is not there, or under a lease).
local w, r = watermark(), head()
local same = w and r and r.value and not r.token and r.at == ARGV[1] and not less(r.at, w.floor)
if not same or redis.call('GETRANGE', KEYS[1], r.body - 1, -1) ~= ARGV[2] then return { 'C' } end
redis.call('SET', KEYS[1], 'V' .. r.at .. ARGV[4], 'PX', ARGV[3])
return { 'T' }
