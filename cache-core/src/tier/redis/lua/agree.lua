-- agree: the fixed terms of the domain; KEYS[1] and KEYS[2] are both their key.
-- ARGV: terms. Answers {'T', what holds}.
local held = redis.call('GET', KEYS[1])
if not held then
  held = ARGV[1]
  redis.call('SET', KEYS[1], held)
end
return { 'T', held }
