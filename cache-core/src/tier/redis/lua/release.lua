-- release: gives a lease back; the floor stays, or the value. ARGV: token, keep in ms.
local r = head()
if r and r.token == ARGV[1] then
  if r.value then relabel(r) else put_mark(r.at, ARGV[2]) end
end
return {}
