-- Shared by every script. KEYS[1] is a record, KEYS[2] its bucket's watermark,
-- both in one slot. Positions are 32 hexadecimal digits, compared eight at a time:
-- Lua's numbers lose offsets beyond 2^53, and its strings compare by the locale of
-- the server, some of which put 'aa' behind 'ff'.
--   value: 'V' as_of(32) envelope        mark: 'M' floor(32) [token(16) granted(32) deadline(16)]
--   value with a lease: 'R' as_of(32) token(16) granted(32) deadline(16) envelope
--   watermark: applied(32) seen(32) floor(32)
local ZERO = string.rep('0', 32)
local function less(a, b)
  if a == b then return false end
  for at = 1, 25, 8 do
    local x, y = string.sub(a, at, at + 7), string.sub(b, at, at + 7)
    if x ~= y then return tonumber(x, 16) < tonumber(y, 16) end
  end
  return false
end
local function is_hex(text) return string.find(text, '^[0-9a-f]+$') end
local function max(a, b) if less(a, b) then return b end return a end
local function min(a, b) if less(a, b) then return a end return b end
local function epoch(position) return string.sub(position, 1, 8) end
-- Whether an as-of is of another epoch, or further ahead than any change can be.
-- Epoch: digits 1 to 8; offset: 9 to 24, of which the first 6 are its 2^40s.
local function made_up(as_of, w)
  local ahead = tonumber(string.sub(as_of, 9, 14), 16) - tonumber(string.sub(w.applied, 9, 14), 16)
  return epoch(as_of) ~= epoch(w.applied) or ahead > 1
end
-- The next local position, or nil when the ticks are used up.
local function next_tick(position)
  local tick = tonumber(string.sub(position, 25, 32), 16)
  if tick == 4294967295 then return nil end
  return string.sub(position, 1, 24) .. string.format('%08x', tick + 1)
end
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
-- Bytes of another kind or shape count as absent; every write replaces them.
local function head()
  local h = redis.pcall('GETRANGE', KEYS[1], 0, 96)
  if type(h) ~= 'string' or #h < 33 or not string.find(h, '^[VMR]')
    or not is_hex(string.sub(h, 2, 33)) then
    return nil
  end
  local kind = string.sub(h, 1, 1)
  local r = { value = kind ~= 'M', at = string.sub(h, 2, 33), body = 34 }
  if kind ~= 'V' and #h == 97 then
    r.token, r.granted = string.sub(h, 34, 49), string.sub(h, 50, 81)
    r.deadline = tonumber(string.sub(h, 82, 97), 16)
    if not r.deadline or not is_hex(r.granted) then r.token = nil end
  end
  if kind == 'R' then
    if not r.token then return nil end
    r.body = 98
  end
  return r
end
local function watermark()
  local w = redis.pcall('GET', KEYS[2])
  if type(w) ~= 'string' or #w ~= 96 or not is_hex(w) then return nil end
  return { applied = string.sub(w, 1, 32), seen = string.sub(w, 33, 64), floor = string.sub(w, 65, 96) }
end
local function put_watermark(w) redis.call('SET', KEYS[2], w.applied .. w.seen .. w.floor) end
local function lease_of(token, granted, deadline)
  return token .. granted .. string.format('%016x', deadline)
end
local function put_mark(floor, keep, token, granted, deadline)
  local tail = ''
  if token then tail = lease_of(token, granted, deadline) end
  redis.call('SET', KEYS[1], 'M' .. floor .. tail, 'PX', keep)
end
-- The same value for as long as it would have stayed, with a lease or without.
local function relabel(r, token, granted, deadline)
  local body, head = redis.call('GETRANGE', KEYS[1], r.body - 1, -1), 'V' .. r.at
  if token then head = 'R' .. r.at .. lease_of(token, granted, deadline) end
  redis.call('SET', KEYS[1], head .. body, 'KEEPTTL')
end
-- Whether writes that the caller has heard of are gone, and what becomes of it then.
local function has_lost(w, applied, seen) return less(w.applied, applied) or less(w.seen, seen) end
local function raised(w, applied, seen)
  local start = max(max(w.applied, applied), seen)
  return { applied = start, seen = max(w.seen, seen), floor = start }
end
